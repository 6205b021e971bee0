"""An environment beside its lock file."""

from verl_ext.host.locked_versions import OtherVersion, installed_versions, other_versions, read_lock


def test_names_of_folders_are_packages(tmp_path):
    for name in ("torch-2.13.0+cpu.dist-info", "math_verify-0.9.0.dist-info", "PyYAML-6.0.1.dist-info", "torch"):
        (tmp_path / name).mkdir()
    found = installed_versions([str(tmp_path), str(tmp_path / "none")])
    assert found == {"torch": "2.13.0+cpu", "math-verify": "0.9.0", "pyyaml": "6.0.1"}


def test_what_differs_from_the_lock(tmp_path):
    (tmp_path / "lock.txt").write_text("# made by hand\ntorch==2.13.0\nray==2.60.0\nno-such-package==1\n")
    found = other_versions(read_lock(tmp_path / "lock.txt"), {"torch": "2.13.0+cpu", "ray": "2.59.0"})
    assert found == [OtherVersion("ray", "2.60.0", "2.59.0"), OtherVersion("no-such-package", "1", None)]
    assert [str(one) for one in found] == ["ray 2.59.0 (locked 2.60.0)", "no-such-package missing (locked 1)"]


def test_a_package_that_no_folder_names_is_asked_for():
    """As one that was installed in another way."""
    assert other_versions({"pytest": "0"}, {})[0].installed is not None
