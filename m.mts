import { runMatrix } from './local/faults/run-matrix.ts';

for (const [seed, profile] of [
  [3, 'open'],
  [9, 'hardened'],
] as const) {
  const t = Date.now();
  const r = await runMatrix({
    count: 6,
    seed,
    parallel: 6,
    profile,
    report: (f, o, ms) => console.log(f, o.kind, ms, Date.now() - t),
  });
  console.log(profile, r.tried, Date.now() - t);
}
