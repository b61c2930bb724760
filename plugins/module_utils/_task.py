# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""The frame around every module's work: libraries there, connection opened and closed, every failure in our words."""

from __future__ import annotations

import re
import sys
import time
import typing as t

from ansible.module_utils.basic import AnsibleFallbackNotFound, AnsibleModule, missing_required_lib

from ansible_collections.virtmem.libvirt.plugins.module_utils import _hypervisor, _xml
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError, on_one_line
from ansible_collections.virtmem.libvirt.plugins.module_utils._numbers import check_numbers
from ansible_collections.virtmem.libvirt.plugins.module_utils._protocol import Hypervisor
from ansible_collections.virtmem.libvirt.plugins.module_utils._result import Facts, failure_facts
from ansible_collections.virtmem.libvirt.plugins.module_utils._wait import SYSTEM_CLOCK, Clock

# What a distribution calls the two libraries: the target's own interpreter finds only these.
_PACKAGES: t.Final[t.Mapping[str, str]] = {
    "libvirt": "python3-libvirt (Debian, Fedora, RHEL) or python3-libvirt-python (SUSE)",
    "lxml": "python3-lxml",
}

Connect = t.Callable[[str, bool, t.Optional[str], t.Optional[str]], Hypervisor]


class Work(t.Protocol):
    """A module's own part. `result` fills up while it runs, so that a failure returns what is known by then."""

    result: Facts

    def run(self) -> None:
        """Raises VirtmemError."""


WorkFactory = t.Callable[[t.Mapping[str, t.Any], Hypervisor, bool, Clock], Work]


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
    """libvirt has no use for a password in a URI, but whoever wrote one there does not want to read it in the result."""
    match = re.search(r"://[^/?#:]*:([^/?#]+)@", uri)
    if not match:
        return
    try:  # ansible-core 2.22 and later: the controller masks what it is told of, and no_log_values does nothing
        from ansible.module_utils.secrets import register_secret
    except ImportError:
        module.no_log_values.add(match.group(1))
    else:
        register_secret(match.group(1))


def require_libraries(module: AnsibleModule, result: Facts) -> None:
    """Fail with error_code=missing_library, naming the interpreter and the package, unless all is there."""
    for library, problem in (("libvirt", _hypervisor.LIBVIRT_IMPORT_ERROR), ("lxml", _xml.LXML_IMPORT_ERROR)):
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
    read_only: bool = False,
    connect: Connect | None = None,
) -> None:
    """Run one task and leave the module. `empty` are the result's keys as they are before anything is known."""
    start = time.monotonic()
    params = _without_empty(module)
    _hide_password(module, params["uri"])
    result: Facts = dict(empty)
    if "domain" in params:
        result["domain"] = {"name": params["domain"], "uuid": None, "state": None}
    require_libraries(module, {**result, "duration": 0.0})
    try:
        check_numbers(module.argument_spec, params)
        hypervisor = (connect or _hypervisor.connect)(
            params["uri"], read_only or module.check_mode, params["auth_user"], params["auth_password"]
        )
        try:
            work = factory(params, hypervisor, module.check_mode, SYSTEM_CLOCK)
            result = work.result
            work.run()
        finally:
            hypervisor.close()
        failure: Facts = {}
    except VirtmemError as error:
        failure = {"msg": error.message, **failure_facts(error)}
    for warning in result.pop("_warnings", []):
        module.warn(on_one_line(warning))
    result["duration"] = round(time.monotonic() - start, 3)
    if failure:
        module.fail_json(**result, **failure)
    module.exit_json(**result)
