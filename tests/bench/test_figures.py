from bench.figures import machine, spread


def test_percentiles_are_values_that_were_measured() -> None:
    hundred = spread([float(number) for number in range(100, 0, -1)])
    assert (hundred.count, hundred.p50, hundred.p90, hundred.p99, hundred.max) == (
        100,
        50,
        90,
        99,
        100,
    )
    one = spread([3.0])
    assert (one.p50, one.p99, one.max) == (3, 3, 3)


def test_a_run_tells_the_machine_and_the_versions() -> None:
    facts = machine()
    assert facts["cores"] >= 1
    assert all(facts[name] for name in ("date", "cpu", "python", "version", "nacosSdk"))
