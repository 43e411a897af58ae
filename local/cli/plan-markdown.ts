import type { RunPlan, TablePlan } from '../../lambda/story/plan-run.ts';
import { howOf, remarks, sizeOf, whileOf } from './plan-view.ts';

/** The same for a comment on a pull request. */
export function planMarkdown(plan: RunPlan): string {
  const lines = ['### Migration plan', ''];
  if (plan.refused !== undefined) {
    lines.push('> [!CAUTION]', '> A run would stop before it touches anything:', '>');
    lines.push(...plan.refused.split('\n').map((line) => `> ${escapeText(line)}  `), '');
  }
  if (plan.files.length === 0) lines.push('Nothing is pending.', '');
  else {
    lines.push('| file | step | how | tables and locks | waits |', '|---|---|---|---|---|');
    for (const { file, steps } of plan.files) {
      for (const step of steps) {
        const tables = step.tables.map(tableCell).join('<br>');
        const cells = [
          code(`${file}:${step.line}`),
          step.step,
          howOf(step),
          tables,
          escapeCell(step.waits ?? ''),
        ];
        lines.push(`| ${cells.join(' | ')} |`);
      }
    }
    lines.push('');
  }
  lines.push(...remarks(plan).map((remark) => `- ${escapeText(remark)}`));
  return `${lines.join('\n').trimEnd()}\n`;
}

function tableCell(table: TablePlan): string {
  const { lock, blocks, work } = table;
  const name = `${code(table.table)} (${sizeOf(table)})`;
  if (lock === undefined || blocks === undefined) return name;
  const strong = !table.isNew && (blocks === 'writes' || blocks === 'reads and writes');
  const text = `${lock}, blocks ${blocks}${whileOf(work)}`;
  return `${name}: ${strong ? `**${text}**` : text}`;
}

/** In a table a bar ends the cell, within code too. */
function code(text: string): string {
  return `\`${text.replaceAll('`', "'").replaceAll('|', '\\|')}\``;
}

function escapeCell(text: string): string {
  return escapeText(text).replaceAll('|', '\\|').replaceAll('\n', ' ');
}

/** So that a name such as `_a_` is shown as it is. */
function escapeText(text: string): string {
  return text.replace(/[\\`*_<>]/g, '\\$&');
}
