"""Building the tree: what can be tried without building it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qm_sip.demo import chroot


def test_the_mirror_is_debians_main_archive_of_this_machines_apt() -> None:
    security = "http://mirror.example/debian-security/"
    assert (
        chroot.choose_mirror([security, "https://mirror.example/debian/"]) == "https://mirror.example/debian"
    )
    assert chroot.choose_mirror(["http://download.example/docker", security]) is None
    assert chroot.choose_mirror(["http://mirror.example/debian-main/"]) == "http://mirror.example/debian-main"


def test_the_environment_names_another_place_and_another_mirror(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("QM_SIP_TESTBED", str(tmp_path / "tree"))
    monkeypatch.setenv("QM_SIP_DEBIAN_MIRROR", "http://mirror.example/debian")
    assert chroot.home() == tmp_path / "tree"
    assert chroot.find_mirror() == "http://mirror.example/debian"


def test_a_built_tree_is_used_as_it_is_and_one_of_another_format_is_not(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    marker = tmp_path / chroot.MARKER
    marker.write_text(f"{chroot.FORMAT} 22.10.1\n")
    assert chroot.ensure(tmp_path) == tmp_path
    assert chroot.version(tmp_path) == "22.10.1"
    marker.write_text("0 22.1.0\n")
    assert not chroot.is_built(tmp_path)
    marker.write_text("")
    assert not chroot.is_built(tmp_path)


def test_without_root_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(chroot.ChrootError, match="needs root"):
        chroot.ensure(tmp_path / "tree")


def test_the_chroot_inherits_apts_proxy_and_nothing_else() -> None:
    settings = chroot.apt_settings(
        'Acquire::http::Proxy "http://proxy.example:3128";\nAPT::Architecture "amd64";\nAcquire::http::Timeout "9";\n'
    )
    assert "proxy.example" in settings
    assert "Architecture" not in settings
    assert 'Acquire::Retries "3";' in settings


def test_each_series_has_a_place_of_its_own_and_an_unknown_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("QM_SIP_TESTBED", str(tmp_path / "tree"))
    assert chroot.home("16") != chroot.home() == chroot.home("22")
    monkeypatch.setenv("QM_SIP_TESTBED_16", str(tmp_path / "old"))
    assert chroot.home("16") == tmp_path / "old"
    with pytest.raises(chroot.ChrootError, match="there are 22, 16"):
        chroot.ensure(tmp_path / "none", series="13")
