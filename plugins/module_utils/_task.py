# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The frame around every module's work: libraries there, connection opened and closed, every failure in our words."""

from __future__ import annotations

import re
import sys
import time
import typing as t

from ansible.module_utils.basic import AnsibleFallbackNotFound, AnsibleModule, missing_required_lib

from ._errors import VirtmemError, failure_facts, on_one_line
from ._wait import SYSTEM_CLOCK

if t.TYPE_CHECKING:
    from ._protocol import Connect, LibvirtDoor, WorkFactory, XmlDoor

# libvirt's numbers of seconds, threads, slots and nodes are ints of C; its Python binding raises OverflowError for more.
LARGEST_NUMBER: t.Final = 2**31 - 1

Spec = t.Mapping[str, t.Any]


def check_numbers(spec: Spec, params: t.Mapping[str, t.Any], place: str = "") -> None:
    """Every number that the options give, at any depth of an argument spec. Raises VirtmemError(unsupported)."""
    for name, option in spec.items():
        value = params.get(name)
        if value is None:
            continue
        if option.get("type") == "int":
            _check_number(value, place + name)
        elif option.get("type") == "dict":
            check_numbers(option["options"], value, f"{place}{name}.")
        elif option.get("elements") == "dict":
            for position, element in enumerate(value):
                check_numbers(option["options"], element, f"{place}{name}[{position}].")


def _check_number(value: int, option: str) -> None:
    lowest = (
        0 if option.endswith("_timeout") else -LARGEST_NUMBER
    )  # what a negative number else means is its option's to say
    if lowest <= value <= LARGEST_NUMBER:
        return
    short = str(value) if abs(value) < 10**20 else f"a number of {len(str(abs(value)))} digits"
    nearest = 0 if value < 0 else LARGEST_NUMBER
    raise VirtmemError(
        "unsupported",
        f"{option}: {short} is {'less' if value < 0 else 'more'} than libvirt or a clock can hold.",
        hint=f"The nearest valid number is {nearest}.",
        details={"option": option, "value": value, "nearest": nearest},
    )


# What a distribution calls the two libraries: the target's own interpreter finds only these.
_PACKAGES: t.Final[t.Mapping[str, str]] = {
    "libvirt": "python3-libvirt (Debian, Fedora, RHEL) or python3-libvirt-python (SUSE)",
    "lxml": "python3-lxml",
}


def _without_empty(module: AnsibleModule) -> dict[str, t.Any]:
    """The options; an empty text counts as left out, because that is what a survey sends for a blank field."""
    return {
        name: _default(module.argument_spec[name]) if _left_out(module.argument_spec[name], value) else value
        for name, value in module.params.items()
        if name in module.argument_spec
    }


def _left_out(option: t.Mapping[str, t.Any], value: object) -> bool:
    return value == "" and not option.get("required")


def _default(option: t.Mapping[str, t.Any]) -> t.Any:  # noqa: ANN401 - options are of any type
    """What an option is if it is left out: its fallback's environment variable, or its default."""
    try:
        read, names = option["fallback"]
        return read(*names)
    except (KeyError, AnsibleFallbackNotFound):
        return option.get("default")


def _hide_password(module: AnsibleModule, uri: str) -> None:
    """libvirt ignores a password in a URI, but a user who wrote one there does not want to see it in the result."""
    match = re.search(r"://[^/?#:]*:([^/?#]+)@", uri)
    if not match:
        return
    try:  # ansible-core 2.22 and later: the controller masks what it is told of, and no_log_values does nothing
        from ansible.module_utils.secrets import register_secret
    except ImportError:
        module.no_log_values.add(match.group(1))
    else:
        register_secret(match.group(1))


def require_libraries(module: AnsibleModule, libvirt: LibvirtDoor, xml: XmlDoor, result: dict[str, t.Any]) -> None:
    """Fail with error_code=missing_library, naming the interpreter and the package, unless all is there."""
    for library, problem in (("libvirt", libvirt.LIBVIRT_IMPORT_ERROR), ("lxml", xml.LXML_IMPORT_ERROR)):
        if problem:
            package = _PACKAGES[library]
            module.fail_json(
                msg=missing_required_lib(library, reason=f"(package {package})"),
                exception=problem,
                error_code="missing_library",
                details={"library": library, "package": package, "interpreter": sys.executable},
                hint=f"Install {package} on the target, or point ansible_python_interpreter (now {sys.executable}) at a"
                " Python that has it, such as /usr/bin/python3.",
                **result,
            )


def run_task(
    module: AnsibleModule,
    factory: WorkFactory,
    empty: t.Mapping[str, t.Any],
    libvirt: LibvirtDoor,
    xml: XmlDoor,
    read_only: bool = False,
    connect: Connect | None = None,
) -> None:
    """Run one task and leave the module. `empty` are the result's keys as they are before anything is known."""
    start = time.monotonic()
    params = _without_empty(module)
    _hide_password(module, params["uri"])
    result: dict[str, t.Any] = dict(empty)
    if "domain" in params:
        result["domain"] = {"name": params["domain"], "uuid": None, "state": None}
    require_libraries(module, libvirt, xml, {**result, "duration": 0.0})
    try:
        check_numbers(module.argument_spec, params)
        hypervisor = (connect or libvirt.connect)(
            params["uri"], read_only or module.check_mode, params["auth_user"], params["auth_password"]
        )
        try:
            work = factory(params, hypervisor, module.check_mode, SYSTEM_CLOCK)
            result = work.result
            work.run()
        finally:
            hypervisor.close()
        failure: dict[str, t.Any] = {}
    except VirtmemError as error:
        failure = {"msg": error.message, **failure_facts(error)}
    for warning in result.pop("_warnings", []):
        module.warn(on_one_line(warning))
    result["duration"] = round(time.monotonic() - start, 3)
    if failure:
        module.fail_json(**result, **failure)
    module.exit_json(**result)
