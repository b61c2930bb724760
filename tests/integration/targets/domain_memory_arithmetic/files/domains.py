# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The XML of the table's domains (see vars/main.yml), with every size as it is written there."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

VCPUS = 4


def domain_xml(name, row):
    vcpus = row.get("vcpus", VCPUS)
    cells = "".join(map(_cell, row.get("cells", ())))
    return f"""<domain type='qemu'>
  <name>{escape(name)}</name>
  {_maximum(row)}{_size("memory", row.get("memory"))}{_size("currentMemory", row.get("current"))}
  <vcpu>{vcpus}</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/></features>
  {f"<cpu><numa>{cells}</numa></cpu>" if cells else ""}
  <devices>{"".join(map(device_xml, row.get("devices", ())))}</devices>
</domain>"""


def device_xml(device):
    attributes = _attributes({name: device.get(name) for name in ("model", "access")})
    path = f"<source><path>{escape(device['path'])}</path></source>" if "path" in device else ""
    label = f"<label>{_size('size', device['label'])}</label>" if "label" in device else ""
    node = f"<node>{device['node']}</node>" if "node" in device else ""
    sizes = {name: _size(name, device.get(name)) for name in ("size", "block", "requested")}
    return f"""<memory{attributes}>{path}
      <target>{sizes["size"]}{node}{label}{sizes["block"]}{sizes["requested"]}</target>
    </memory>"""


def _maximum(row):
    return _size("maxMemory", row.get("maximum"), slots=row.get("slots"))


def _cell(cell):
    number, unit = _split(cell["memory"])
    return f"<cell{_attributes({'id': cell.get('id'), 'cpus': cell.get('cpus'), 'memory': number, 'unit': unit})}/>"


def _size(tag, text, **attributes):
    if text is None:
        return ""
    number, unit = _split(text)
    return f"<{tag}{_attributes({**attributes, 'unit': unit})}>{number}</{tag}>"


def _split(text):
    """A number and its unit, or None where libvirt shall take its own (KiB)."""
    number, _space, unit = text.partition(" ")
    return number, unit or None


def _attributes(attributes):
    return "".join(f" {name}={quoteattr(str(value))}" for name, value in attributes.items() if value is not None)
