import { expect, it, vi } from 'vitest';
import { newLifeCycle } from './life-cycle.ts';

// Of each invocation's 22 seconds the function keeps 10 for its answer.
vi.setConfig({ testTimeout: 240_000 });

const ROWS = 2_000;

const table = {
  '1_messages.sql': `create table messages (id int primary key, content text not null);
insert into messages select g, 'two words' from generate_series(1, ${ROWS}) g;
create table written (id int);
create function write_down() returns trigger language plpgsql
  as 'begin perform pg_sleep(0.008); insert into written values (new.id); return new; end';
create trigger write_down before update on messages for each row execute function write_down();`,
};

it('a column is added, filled, checked and made NOT NULL by one file, unattended, though it takes longer than a function lives', async () => {
  const life = await newLifeCycle();
  await life.deploy(table);
  await life.deploy(
    {
      ...table,
      '2_word_count.sql': `alter table messages add column word_count int;
-- migrate: backfill batch 100ms
update messages set word_count = array_length(string_to_array(content, ' '), 1) where word_count is null;
alter table messages add constraint word_count_there check (word_count is not null) not valid;
alter table messages validate constraint word_count_there;
alter table messages alter column word_count set not null;
alter table messages drop constraint word_count_there;`,
    },
    { props: { waitFor: 'nothing' }, timeoutSeconds: 22 },
  );

  await life.aws.stepFunctions.settled();
  expect(await life.steps()).toEqual(
    ['1.0', '2.0', '2.1', '2.2', '2.3', '2.4'].map((step) => `${step} applied`),
  );
  expect(
    await life.database.query(
      `select (select count(*)::int from messages where word_count = 2) as filled,
              (select count(distinct id)::int from written) as rows, (select count(*)::int from written) as times,
              (select attnotnull from pg_attribute
                where attrelid = 'messages'::regclass and attname = 'word_count') as required,
              (select turns > 1 from migrations.work where operation = 'backfill') as several,
              (select attempts from migrations.work where operation = 'backfill') as attempts`,
    ),
  ).toEqual([{ filled: ROWS, rows: ROWS, times: ROWS, required: true, several: true, attempts: 1 }]);
});
