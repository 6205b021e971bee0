import platform

from verl_ext.host.processor import processor_name


def test_the_model_of_the_first_core(tmp_path):
    listing = tmp_path / "cpuinfo"
    listing.write_text("processor\t: 0\nmodel name\t: A Processor 9000\n\nprocessor\t: 1\nmodel name\t: Another\n")
    assert processor_name(listing) == "A Processor 9000"


def test_where_no_model_is_listed(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t:\n")
    assert processor_name(tmp_path / "cpuinfo") == (platform.processor() or platform.machine())
    assert processor_name(tmp_path / "none") == (platform.processor() or platform.machine())
