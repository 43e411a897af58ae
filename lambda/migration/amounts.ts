/** A duration for people: `0.4 s`, `42 s`, `3 min 20 s`, `2 h 5 min`, `1 d 4 h`. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return pair(whole, { unit: 60, names: ['min', 's'] });
  const minutes = Math.round(seconds / 60);
  if (minutes < 24 * 60) return pair(minutes, { unit: 60, names: ['h', 'min'] });
  return pair(Math.round(minutes / 60), { unit: 24, names: ['d', 'h'] });
}

function pair(count: number, { unit, names }: { unit: number; names: readonly [string, string] }): string {
  const rest = count % unit;
  const large = `${Math.floor(count / unit)} ${names[0]}`;
  return rest === 0 ? large : `${large} ${rest} ${names[1]}`;
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/** As Postgres's pg_size_pretty counts: 1 kB is 1,024 bytes. */
export function byteSize(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  const value = bytes / 1024 ** power;
  return `${value >= 10 || power === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[power]}`;
}

/** `1 step`, `1,234 steps` */
export function count(number: number, noun: string): string {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
}
