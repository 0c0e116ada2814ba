# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""libvirt_pool with directories, on a real libvirtd."""

from __future__ import annotations

import stat


def test_pool_comes_to_be_and_stays(modules, libvirtd, tmp_path):
    path = tmp_path / "missing" / "pool"
    result = modules.converge(
        "libvirt_pool",
        name="disks",
        type="dir",
        target={"path": str(path), "permissions": {"mode": "0711"}},
        autostart=True,
    )
    assert result["changed"]
    assert result["actions"] == ["create", "define", "autostart"]
    assert result["pool"]["state"] == "active"
    assert result["pool"]["capacity"] > 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o711
    said = dict(
        line.split(":", 1) for line in libvirtd.virsh("pool-info", "disks").splitlines() if line
    )
    said = {key: value.strip() for key, value in said.items()}
    assert (said["State"], said["Persistent"], said["Autostart"]) == ("running", "yes", "yes")


def test_equal_definition_in_other_words_is_no_change(modules, tmp_path):
    path = tmp_path / "pool"
    modules.run(
        "libvirt_pool",
        name="disks",
        type="dir",
        target={"path": str(path), "permissions": {"mode": "0711", "owner": 0}},
    )
    for target in (
        {"path": f"{path}/"},
        {"path": str(path), "permissions": {"mode": "711"}},
        {"path": f"{tmp_path}//pool", "permissions": {"owner": 0}},
        {"permissions": {"mode": "00711", "owner": 0}},
    ):
        result = modules.run("libvirt_pool", name="disks", type="dir", target=target)
        assert not result["changed"], (target, result)


def test_inactive_pool_is_defined_and_built_but_not_started(modules, tmp_path):
    path = tmp_path / "pool"
    result = modules.converge(
        "libvirt_pool",
        name="disks",
        type="dir",
        target={"path": str(path)},
        state="inactive",
        autostart=True,
    )
    assert (result["pool"]["state"], result["pool"]["autostart"]) == ("inactive", True)
    assert path.is_dir()
    result = modules.converge("libvirt_pool", name="disks", state="active")
    assert result["actions"] == ["start"]


def test_autostart_is_honoured_beside_any_state(modules, pool):
    for state in ("active", "inactive"):
        for autostart in (True, False):
            result = modules.converge("libvirt_pool", name=pool, state=state, autostart=autostart)
            assert result["pool"]["autostart"] is autostart
            assert result["pool"]["state"] == state


def test_autostart_that_is_not_stated_is_left_alone(modules, pool):
    modules.run("libvirt_pool", name=pool, autostart=True)
    assert not modules.run("libvirt_pool", name=pool)["changed"]
    assert modules.run("libvirt_pool", name=pool, state="inactive")["pool"]["autostart"]


def test_changed_definition_of_a_running_pool_waits_for_a_restart(modules, pool, tmp_path):
    new = str(tmp_path / "new")
    arguments = {"name": pool, "type": "dir", "target": {"path": new}}
    result = modules.converge("libvirt_pool", **arguments)
    assert result["actions"] == ["define"]
    assert result["restart_required"]
    assert result["diff"]["before"]["definition"]["target/path"] == str(tmp_path / "pool")
    assert result["diff"]["after"]["definition"]["target/path"] == new
    assert result["pool"]["target_path"] == str(tmp_path / "pool")
    again = modules.run("libvirt_pool", **arguments)
    assert again["restart_required"]
    assert "restart=true" in str(again["warnings"])
    result = modules.converge("libvirt_pool", restart=True, **arguments)
    assert result["actions"] == ["stop", "start"]
    assert not result["restart_required"]
    assert result["pool"]["target_path"] == new


def test_permissions_are_set_again_by_a_restart(modules, tmp_path):
    path = tmp_path / "pool"
    arguments = {
        "name": "disks",
        "type": "dir",
        "target": {"path": str(path), "permissions": {"mode": "0711"}},
    }
    modules.run("libvirt_pool", **arguments)
    path.chmod(0o755)
    modules.run("libvirt_pool", name="disks", refresh=True)
    result = modules.converge("libvirt_pool", restart=True, **arguments)
    assert result["changed"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o711


def test_permissions_that_are_not_stated_are_left_alone(modules, pool, tmp_path):
    path = tmp_path / "pool"
    modules.run("libvirt_pool", name=pool, state="inactive")
    path.chmod(0o700)
    modules.converge("libvirt_pool", name=pool)
    modules.converge("libvirt_pool", name=pool, type="dir", target={"path": str(path)})
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_permissions_that_changed_while_the_pool_was_stopped_are_set(modules, tmp_path):
    path = tmp_path / "pool"
    target = {"path": str(path), "permissions": {"mode": "0711"}}
    arguments = {"name": "disks", "type": "dir", "target": target}
    modules.run("libvirt_pool", state="inactive", **arguments)
    path.chmod(0o700)
    modules.converge("libvirt_pool", **arguments)
    assert stat.S_IMODE(path.stat().st_mode) == 0o711


def test_directory_that_vanished_is_made_again(modules, pool, tmp_path):
    modules.run("libvirt_pool", name=pool, state="inactive")
    (tmp_path / "pool").rmdir()
    modules.converge("libvirt_pool", name=pool)
    assert (tmp_path / "pool").is_dir()


def test_redefinition_keeps_what_the_options_do_not_state(modules, libvirtd, tmp_path):
    path = tmp_path / "pool"
    modules.run(
        "libvirt_pool",
        name="disks",
        type="dir",
        target={"path": str(path), "permissions": {"mode": "0750"}},
        state="inactive",
    )
    uuid = modules.run("libvirt_pool_info")["pools"][0]["uuid"]
    modules.converge(
        "libvirt_pool",
        name="disks",
        type="dir",
        target={"path": f"{path}2"},
        state="inactive",
    )
    xml = libvirtd.virsh("pool-dumpxml", "--inactive", "disks")
    assert f"{path}2" in xml
    assert "<mode>0750</mode>" in xml
    assert uuid in xml


def test_transient_pool_is_kept(modules, libvirtd, tmp_path):
    path = tmp_path / "pool"
    path.mkdir()
    for state in ("active", "inactive"):
        name = f"transient-{state}"
        (path / state).mkdir()
        libvirtd.virsh("pool-create-as", name, "dir", "--target", str(path / state))
        result = modules.converge("libvirt_pool", name=name, state=state)
        assert "define" in result["actions"]
        assert result["pool"]["persistent"]
        assert result["pool"]["state"] == state


def test_transient_pool_that_is_not_wanted_is_gone(modules, libvirtd, tmp_path):
    libvirtd.virsh("pool-create-as", "transient", "dir", "--target", str(tmp_path))
    assert modules.converge("libvirt_pool", name="transient", state="undefined")["changed"]
    assert not modules.everything()


def test_undefined_keeps_data(modules, pool, tmp_path):
    modules.run("libvirt_volume", pool=pool, name="data", capacity="1M")
    result = modules.converge("libvirt_pool", name=pool, state="undefined")
    assert result["actions"] == ["stop", "undefine"]
    assert (tmp_path / "pool" / "data").stat().st_size == 1024**2


def test_deleted_needs_consent(modules, pool, tmp_path):
    modules.run("libvirt_volume", pool=pool, name="data", capacity="1M")
    modules.refused("libvirt_pool", "delete_data=true", name=pool, state="deleted")
    assert (tmp_path / "pool" / "data").exists()


def test_deleted_removes_volumes_and_directory(modules, pool, tmp_path):
    for name in ("a", "b"):
        modules.run("libvirt_volume", pool=pool, name=name, capacity="1M")
    result = modules.converge("libvirt_pool", name=pool, state="deleted", delete_data=True)
    assert result["diff"]["before"]["volumes"] == ["a", "b"]
    assert not (tmp_path / "pool").exists()
    assert not modules.everything()


def test_deleted_of_an_inactive_pool_removes_volumes_and_directory(modules, pool, tmp_path):
    modules.run("libvirt_volume", pool=pool, name="a", capacity="1M")
    modules.run("libvirt_pool", name=pool, state="inactive")
    modules.converge("libvirt_pool", name=pool, state="deleted", delete_data=True)
    assert not (tmp_path / "pool").exists()


def test_deleted_keeps_files_that_are_no_volumes_and_says_so(modules, pool, tmp_path):
    kept = tmp_path / "pool" / "directory" / "file"
    kept.parent.mkdir()
    kept.write_text("kept")
    modules.run("libvirt_volume", pool=pool, name="a", capacity="1M")
    try:
        modules.run("libvirt_pool", name=pool, state="deleted", delete_data=True)
    except AssertionError as failure:
        assert "directory" in str(failure)
    else:
        raise AssertionError("deleted")
    assert kept.read_text() == "kept"
    assert [volume["name"] for volume in modules.everything()[0]["volumes"]] == ["a", "directory"]


def test_deleted_is_refused_while_another_pool_lies_on_it(modules, pool, tmp_path):
    other = {"path": str(tmp_path / "other")}
    modules.run("libvirt_pool", name="other", type="dir", target=other)
    modules.run("libvirt_volume", pool=pool, name="base", capacity="1M", format="raw")
    modules.run("libvirt_volume", pool="other", name="top", backing={"pool": pool, "name": "base"})
    modules.refused(
        "libvirt_pool", "other/top", "'base'", name=pool, state="deleted", delete_data=True
    )


def test_refresh_shows_new_files_and_is_no_change(modules, pool, tmp_path):
    (tmp_path / "pool" / "new").write_bytes(b"0" * 512)
    assert not modules.everything()[0]["volumes"]
    assert not modules.run("libvirt_pool", name=pool, refresh=True)["changed"]
    assert modules.everything()[0]["volumes"][0]["name"] == "new"


def test_volumes_are_seen_again_when_the_pool_starts_again(modules, pool, tmp_path):
    modules.run("libvirt_volume", pool=pool, name="a", capacity="1M")
    modules.converge("libvirt_pool", name=pool, state="inactive")
    assert modules.everything()[0]["volumes"] == []
    modules.converge("libvirt_pool", name=pool)
    assert [volume["name"] for volume in modules.everything()[0]["volumes"]] == ["a"]
