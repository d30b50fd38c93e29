"""report: from samples to the one table, and who is ahead."""
import statistics

from rows import CEILINGS, DRIVER, TIE_PROGRAM, TIE_SERVER

FOREIGN_MAX = 0.12  # of a core, used by others during a run: above it the run counts as disturbed
CLEAN_MIN = 3       # with fewer clean rounds all are used, and the table says so


def clean_of(*runs):
    return all(r["foreign"] <= FOREIGN_MAX for r in runs)


def summarise(case, figure, samples):
    """A row for each program. A disturbed run is dropped where enough clean ones are left."""
    rows = {}
    reference = samples.get(case.reference, {})
    for program, got in samples.items():
        if figure.peers and program not in (*case.ours, *figure.peers):
            continue
        got = {r: {**g, "ratio": g[case.of] / reference[r][case.of]} if r in reference else g for r, g in got.items()}
        rounds = sorted(r for r in got if figure.key in got[r])
        clean = [r for r in rounds if clean_of(got[r], *([reference[r]] if r in reference else []))]
        used = clean if len(clean) >= CLEAN_MIN else rounds
        if not used:
            continue
        values = [figure.value(got[r]) for r in used]
        rows[program] = {"best": figure.best(values), "median": statistics.median(values),
                         "rounds": len(rounds), "clean": len(clean), "disturbed": used is not clean,
                         "middle": {key: statistics.median(got[r][key] for r in used if key in got[r])
                                    for key in {key for r in used for key in got[r]}},
                         "samples": [got[r] for r in rounds]}
    return rows


def judge(case, figure, rows, name):
    """ratio: ours over the best peer's. Programs are compared by their best run, by the median what is
    itself a ratio, or belongs to one."""
    by = "median" if case.reference else "best"
    ours = rows.get(name)
    peers = {name: row[by] for name, row in rows.items() if name not in (*case.ours, *CEILINGS)}
    verdict = {}
    if peers:
        verdict["best_peer"] = (max if figure.more else min)(peers, key=peers.get)
    if ours and peers and peers[verdict["best_peer"]]:
        ratio = verdict["ratio"] = ours[by] / peers[verdict["best_peer"]]
        tie = TIE_SERVER if case.serves else TIE_PROGRAM
        verdict["verdict"] = ("tie" if 1 / tie < ratio < tie
                              else "ahead" if (ratio > 1) == figure.more else "BEHIND")
    if ours and figure.limit is not None and figure.is_wanted(name):
        verdict["reached"] = ours[by] >= figure.limit if figure.more else ours[by] <= figure.limit
    elif figure.of_peer is not None and "ratio" in verdict:
        verdict["reached"] = verdict["ratio"] <= figure.of_peer
    return verdict


def rows_of(cases, samples, why_not):
    """One row for each figure of each case and each of ours, with everything that is known about it."""
    table = []
    for name, case in cases:
        for figure in case.figures:
            programs = summarise(case, figure, samples.get(case_key(case), {}))
            here = [o for o in case.ours if o in programs or (case_key(case), o) in why_not]
            for ours in here or case.ours[:1]:
                table.append({"bench": name, "work": case.name, "workers": case.workers, "unit": figure.unit,
                              "more_is_better": figure.more,
                              "target": figure.target if figure.is_wanted(ours) else "", "programs": programs,
                              "ours": ours, "reference": case.reference,
                              "ours_missing": why_not.get((case_key(case), ours), ""),
                              **judge(case, figure, programs, ours)})
    return table


def case_key(case):
    return case.name, case.workers


def short(value):
    return f"{value:,.0f}" if value >= 999.5 else f"{value:.3g}"


def pair(row):
    return f"{short(row['best'])} / {short(row['median'])}{'~' if row['disturbed'] else ''}"


HEAD = ("work", "w", "unit", "ours", "best peer", "", "ratio", "target", "verdict")


def line_of(row):
    ours, best = row["programs"].get(row["ours"]), row.get("best_peer")
    is_here = ours or row["ours_missing"]
    work = row["work"] + (f", {row['ours'].removeprefix('weft-')}" if is_here and row["ours"] in DRIVER else "")
    said = [row["verdict"]] if "verdict" in row else []
    if "reached" in row:
        said.append("target reached" if row["reached"] else "target not reached")
    return (work, str(row["workers"]), row["unit"] + (" (+)" if row["more_is_better"] else ""),
            pair(ours) if ours else f"({row['ours_missing']})" if row["ours_missing"] else "-",
            pair(row["programs"][best]) if best else "-", best or "",
            f"{row['ratio']:.2f}" if "ratio" in row else "-", row["target"] or "-", ", ".join(said) or "-")


def show(report):
    m = report["machine"]
    print(f"\n{m['cpu']}, {m['cores']} cores, Linux {m['kernel']}; {report['rounds']} rounds, interleaved"
          + ("; --quick: smaller, shows that it works, not who is faster" if report["quick"] else ""))
    for name, version in report["versions"].items():
        print(f"  {name:7} {version}")
    if report["disk"]:
        print(f"  {'disk':7} {report['disk']}")
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


def of_all(row):
    """Its programs, best first."""
    return sorted(row["programs"].items(), key=lambda r: r[1]["median"], reverse=row["more_is_better"])


# What a network row tells of each program: title, the sample's figure, what it is multiplied by, digits.
COLUMNS = (("of ref.", "ratio", 1, 2), ("k/CPU s", "per_cpu_s", 1e-3, 0), ("k/s", "per_s", 1e-3, 0),
           ("p50 us", "p50_us", 1, 0), ("p99 us", "p99_us", 1, 0), ("p99/p50", "spread", 1, 2),
           ("worst ms", "worst_us", 1e-3, 1), ("CPU us", "cpu_us", 1, 2),
           ("dropped", "dropped", 1, 0))


def show_network(report):
    """All programs of the rows that are measured against one of them: throughput and waits side by side."""
    shown = {}
    for row in report["rows"]:
        if row["reference"] and row["programs"]:
            shown.setdefault(row["work"], row)
    for work, row in shown.items():
        known = {key for _, r in of_all(row) for key in r["middle"]}
        columns = [c for c in COLUMNS if c[1] in known and (c[1] != "dropped" or any(
            r["middle"].get("dropped") for _, r in of_all(row)))]
        print(f"\n{work + '; ratio to ' + row['reference']:46}" + "".join(f"{title:>10}" for title, *_ in columns)
              + "  clean rounds")
        for name, r in of_all(row):
            cells = "".join(f"{r['middle'][key] * times:10.{digits}f}" if key in r["middle"] else f"{'-':>10}"
                            for _, key, times, digits in columns)
            print(f"  {name:44}{cells}  {r['clean']}/{r['rounds']}{'~' if r['disturbed'] else ''}")


def show_details(report):
    """All programs of each row that is not in show_network()."""
    for row in report["rows"]:
        if row["reference"]:
            continue
        print(f"\n{row['work']}, {row['workers']} worker{'s'[:row['workers'] - 1]}, {row['unit']}")
        for name, r in of_all(row):
            print(f"  {name:14} {short(r['best']):>9} {short(r['median']):>9}  {r['clean']}/{r['rounds']} clean rounds")
