"""report: from samples to the one table, and who is ahead."""
import statistics

from rows import REFERENCE, TIE_PROGRAM, TIE_SERVER

FOREIGN_MAX = 0.12  # of a core, used by others during a run: above it the run counts as disturbed
CLEAN_MIN = 3       # with fewer clean rounds all are used, and the table says so


def clean_of(*runs):
    return all(r["foreign"] <= FOREIGN_MAX for r in runs)


def summarise(case, figure, samples):
    """A row for each program. A disturbed run is dropped where enough clean ones are left."""
    rows = {}
    reference = samples.get(REFERENCE, {})
    for program, got in samples.items():
        if figure.peers and program not in ("weft", *figure.peers):
            continue
        if case.serves:
            got = {r: {**g, "ratio": g["per_cpu_s"] / reference[r]["per_cpu_s"]}
                   for r, g in got.items() if r in reference}
        rounds = sorted(r for r in got if figure.key in got[r])
        clean = [r for r in rounds if clean_of(got[r], *([reference[r]] if case.serves else []))]
        used = clean if len(clean) >= CLEAN_MIN else rounds
        if not used:
            continue
        values = [figure.value(got[r]) for r in used]
        rows[program] = {"best": figure.best(values), "median": statistics.median(values),
                         "rounds": len(rounds), "clean": len(clean), "disturbed": used is not clean,
                         "samples": [got[r] for r in rounds]}
    return rows


def judge(case, figure, rows):
    """ratio: ours over the best peer's. Programs are compared by their best run, servers by the median."""
    by = "median" if case.serves else "best"
    ours = rows.get("weft")
    peers = {name: row[by] for name, row in rows.items() if name not in ("weft", REFERENCE)}
    verdict = {}
    if peers:
        verdict["best_peer"] = (max if figure.more else min)(peers, key=peers.get)
    if ours and peers and peers[verdict["best_peer"]]:
        ratio = verdict["ratio"] = ours[by] / peers[verdict["best_peer"]]
        tie = TIE_SERVER if case.serves else TIE_PROGRAM
        verdict["verdict"] = ("tie" if 1 / tie < ratio < tie
                              else "ahead" if (ratio > 1) == figure.more else "BEHIND")
    if ours and figure.limit is not None:
        verdict["reached"] = ours[by] >= figure.limit if figure.more else ours[by] <= figure.limit
    elif figure.of_peer is not None and "ratio" in verdict:
        verdict["reached"] = verdict["ratio"] <= figure.of_peer
    return verdict


def rows_of(cases, samples, why_not):
    """One row for each figure of each case, with everything that is known about it."""
    table = []
    for name, case in cases:
        for figure in case.figures:
            programs = summarise(case, figure, samples.get(case_key(case), {}))
            table.append({"bench": name, "work": case.name, "workers": case.workers, "unit": figure.unit,
                          "more_is_better": figure.more, "target": figure.target, "programs": programs,
                          "ours_missing": why_not.get(case_key(case), ""),
                          **judge(case, figure, programs)})
    return table


def case_key(case):
    return case.name, case.workers


def short(value):
    return f"{value:,.0f}" if value >= 999.5 else f"{value:.3g}"


def pair(row):
    return f"{short(row['best'])} / {short(row['median'])}{'~' if row['disturbed'] else ''}"


HEAD = ("work", "w", "unit", "ours", "best peer", "", "ratio", "target", "verdict")


def line_of(row):
    ours, best = row["programs"].get("weft"), row.get("best_peer")
    said = [row["verdict"]] if "verdict" in row else []
    if "reached" in row:
        said.append("target reached" if row["reached"] else "target not reached")
    return (row["work"], str(row["workers"]), row["unit"] + (" (+)" if row["more_is_better"] else ""),
            pair(ours) if ours else f"({row['ours_missing']})" if row["ours_missing"] else "-",
            pair(row["programs"][best]) if best else "-", best or "",
            f"{row['ratio']:.2f}" if "ratio" in row else "-", row["target"] or "-", ", ".join(said) or "-")


def show(report):
    m = report["machine"]
    print(f"\n{m['cpu']}, {m['cores']} cores, Linux {m['kernel']}; {report['rounds']} rounds, interleaved"
          + ("; --quick: smaller, shows that it works, not who is faster" if report["quick"] else ""))
    for name, version in report["versions"].items():
        print(f"  {name:6} {version}")
    lines = [HEAD] + [line_of(row) for row in report["rows"]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    print()
    for number, line in enumerate(lines):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))
    print("\nFigures: best / median over the rounds; (+): more is better; ratio: ours over the best peer's; tie:"
          f" within {(TIE_PROGRAM - 1) * 100:.0f} %\n(servers {(TIE_SERVER - 1) * 100:.0f} %)."
          " ~: others used the machine meanwhile: do not quote. Targets are of the 2.5 GHz machine they were set on.")
    for name, why in report["left_out"].items():
        print(f"left out: {name}: {why}")


def show_details(report):
    """All programs of each row, best first."""
    for row in report["rows"]:
        print(f"\n{row['work']}, {row['workers']} worker{'s'[:row['workers'] - 1]}, {row['unit']}")
        ordered = sorted(row["programs"].items(), key=lambda r: r[1]["median"], reverse=row["more_is_better"])
        for name, r in ordered:
            line = f"  {name:14} {short(r['best']):>9} {short(r['median']):>9}  {r['clean']}/{r['rounds']} clean rounds"
            if "per_s" in r["samples"][0]:
                middle = {key: statistics.median(s[key] for s in r["samples"])
                          for key in ("per_cpu_s", "per_s", "p50_us", "p99_us")}
                line += (f"; {middle['per_cpu_s'] / 1e3:.0f}k requests/CPU s, {middle['per_s'] / 1e3:.0f}k/s, "
                         f"p50 {middle['p50_us']:.0f} us, p99 {middle['p99_us']:.0f} us")
            print(line)
