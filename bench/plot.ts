import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as echarts from 'echarts';
import { type Figure, isAbsent } from './figure.ts';

/** The charts, each in its own file. */
const CHARTS: readonly {
  readonly file: string;
  readonly title: string;
  readonly shows: (figure: Figure) => boolean;
}[] = [
  {
    file: 'round-trips.svg',
    title: 'Round trips for pending migrations',
    shows: ({ benchmark, unit }) => unit === 'round trips' && / migrations$/.test(benchmark),
  },
  {
    file: 'times.svg',
    title: 'Time for pending migrations, by latency',
    shows: ({ benchmark, unit }) => unit === 's' && / migrations, /.test(benchmark),
  },
  {
    file: 'writes.svg',
    title: 'Slowest write of the application meanwhile',
    shows: ({ benchmark }) => benchmark === 'slowest write meanwhile',
  },
];

const WIDTH = 760;
const DIRECTORY = join(import.meta.dirname, '../docs/figures');

/** Draws the figures, and returns the files' paths. */
export function plot(figures: readonly Figure[], machine: string): string[] {
  mkdirSync(DIRECTORY, { recursive: true });
  return CHARTS.flatMap(({ file, title, shows }) => {
    const shown = figures.filter((figure) => shows(figure) && !isAbsent(figure));
    if (shown.length === 0) return [];
    const path = join(DIRECTORY, file);
    writeFileSync(path, `${svgOf({ title, machine, figures: shown })}\n`);
    return [path];
  });
}

interface Chart {
  readonly title: string;
  readonly machine: string;
  readonly figures: readonly Figure[];
}

/** A bar for each contender, grouped if there are several benchmarks; the scale is logarithmic. */
export function svgOf({ title, machine, figures }: Chart): string {
  const contenders = [...new Set(figures.map(({ who }) => who.replace(/ \(.*/, '')))];
  const benchmarks = [...new Set(figures.map(({ benchmark }) => benchmark))];
  const unit = figures[0]?.unit ?? '';
  const height = 110 + contenders.length * benchmarks.length * 30;
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height });
  chart.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    title: { text: title, subtext: machine, textStyle: { fontSize: 16 } },
    legend: benchmarks.length > 1 ? { bottom: 0, data: benchmarks } : undefined,
    grid: { left: 190, right: 90, top: 60, bottom: benchmarks.length > 1 ? 60 : 40 },
    xAxis: { type: 'log', name: unit, min: floorOf(figures) },
    yAxis: { type: 'category', inverse: true, data: contenders },
    series: benchmarks.map((benchmark) => ({
      name: benchmark,
      type: 'bar',
      label: { show: true, position: 'right' },
      data: contenders.map((who) => lengthOf(figures, benchmark, who)),
    })),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

function lengthOf(figures: readonly Figure[], benchmark: string, who: string): number | null {
  const found = figures.find((figure) => figure.benchmark === benchmark && figure.who.startsWith(who));
  return found === undefined ? null : Number(found.value.toPrecision(3));
}

/** The power of ten below the smallest value: a logarithmic axis has no zero. */
function floorOf(figures: readonly Figure[]): number {
  const smallest = Math.min(...figures.map(({ value }) => value).filter((value) => value > 0));
  return 10 ** Math.floor(Math.log10(smallest) - 0.3);
}
