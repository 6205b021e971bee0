"""The end of a log file."""

from verl_ext.host.log_tail import tail


def test_the_tail_of_a_log(tmp_path):
    log = tmp_path / "log"
    assert tail(log) == ""
    log.write_text("".join(f"{n}\n" for n in range(100)))
    assert tail(log, 2) == "98\n99\n"
