import type { PlanFinding, RunPlan } from '../../lambda/foresight/plan-run.ts';
import type { TablePlan } from '../../lambda/foresight/planned-tables.ts';
import {
  applyText,
  buildStageText,
  buildText,
  consequence,
  howOf,
  remarks,
  sizeOf,
  whileOf,
} from './plan-view.ts';

/** The same for a comment on a pull request. */
export function planMarkdown(plan: RunPlan): string {
  const lines = ['### Migration plan', ''];
  if (plan.refused !== undefined) {
    lines.push('> [!CAUTION]', '> A run would stop before it touches anything:', '>');
    lines.push(...plan.refused.split('\n').map((line) => `> ${escapeText(line)}  `), '');
  }
  if (plan.files.length === 0) lines.push('Nothing is pending.', '');
  else lines.push(...stepTable(plan), '');
  if (plan.stages.length > 0) lines.push('**In what order**', '', ...stageList(plan), '');
  // Refusals come first.
  const others = plan.findings.filter(({ verdict }) => verdict !== 'refuse');
  lines.push(...others.map(findingItem), ...remarks(plan).map((remark) => `- ${escapeText(remark)}`));
  return `${lines.join('\n').trimEnd()}\n`;
}

function stepTable({ files }: RunPlan): string[] {
  const lines = ['| file | step | how | tables and locks | waits |', '|---|---|---|---|---|'];
  for (const { file, steps } of files) {
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
  return lines;
}

function tableCell(table: TablePlan): string {
  const { lock, blocks } = table;
  const name = `${code(table.table)} (${sizeOf(table)})`;
  if (lock === undefined || blocks === undefined) return name;
  const strong = !table.isNew && (blocks === 'writes' || blocks === 'reads and writes');
  const text = `${lock}, blocks ${blocks}${whileOf(table)}`;
  return `${name}: ${strong ? `**${text}**` : text}`;
}

function stageList({ stages }: RunPlan): string[] {
  return stages.flatMap((stage, at) => {
    const number = `${at + 1}.`;
    if (stage.kind === 'apply') return [`${number} ${escapeText(applyText(stage))}`];
    const tables = stage.tables.map(
      ({ table, builds }) =>
        `   - ${code(table)}: ${builds.map((build) => escapeText(buildText(build))).join(', then ')}`,
    );
    return [`${number} ${buildStageText(stage)}`, ...tables];
  });
}

function findingItem(finding: PlanFinding): string {
  const { file, line, what, rule } = finding;
  return `- ${code(`${file}:${line}`)} ${escapeText(what)}${consequence(finding)} (${code(rule)})`;
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
