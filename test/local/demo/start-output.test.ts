import { describe, expect, it } from 'vitest';
import { expectEventually } from '../../support/expect-eventually.ts';
import { PROGRESS, start } from './start-run.ts';

const MINUTES = 60_000;

/** What `npm start -- --rows 20000` says, with N for what differs from one run to the next. */
const BEFORE = `A deploy with index builds, run on this machine.
Starting PostgreSQL, behind a proxy that cancels as Neon's does.
PostgreSQL 18 runs. Synthesizing the stack of two releases, as cdk synth does.

An earlier release: CloudFormation Create, tables only
pending  4 migrations, 4 steps
applied  0001_users
applied  0002_messages
applied  0003_saved_words
applied  0004_daily_stats
deploy  CREATE_COMPLETE

Time passes
1,000 users, 20,000 messages, 12,000 saved words, 5,000 daily stats in N s

This release: CloudFormation Update, while the application keeps writing
pending  6 migrations, 18 steps
applied  0005_user_activity, step 1 of 3
handed off  0005_user_activity, step 2 of 3: refresh of user_activity
handed off  0005_user_activity, step 3 of 3: idx_user_activity_user on user_activity
applied  0006_popular_words, step 1 of 3
handed off  0006_popular_words, step 2 of 3: refresh of popular_words
handed off  0006_popular_words, step 3 of 3: idx_popular_words_language_word on popular_words
applied  0007_message_words, step 1 of 2
handed off  0007_message_words, step 2 of 2: words on messages
handed off  0008_message_indexes, step 1 of 3: idx_messages_user_created on messages
handed off  0008_message_indexes, step 2 of 3: idx_messages_unread on messages
handed off  0008_message_indexes, step 3 of 3: idx_messages_content_search on messages
applied  0009_saved_words, step 1 of 4
handed off  0009_saved_words, step 2 of 4: saved_words_user_id_fkey on saved_words
handed off  0009_saved_words, step 3 of 4: idx_saved_words_word_lower on saved_words
handed off  0009_saved_words, step 4 of 4: idx_saved_words_user_word on saved_words
applied  0010_activity, step 1 of 3
applied  0010_activity, steps 2–3 of 3`.split('\n');

/** In any order: tables build side by side, and beside the deploy. */
const BUILDING = `deploy  UPDATE_COMPLETE after N s; index builds continue
building  words on public.messages (attempt 1, attached session)
filled  words on public.messages after N s
building  saved_words_user_id_fkey on public.saved_words (attempt 1, loopback session)
validated  saved_words_user_id_fkey on public.saved_words after N s
building  REFRESH of public.user_activity (attempt 1, loopback session)
refreshed  REFRESH of public.user_activity after N s
building  REFRESH of public.popular_words (attempt 1, loopback session)
refreshed  REFRESH of public.popular_words after N s
building  idx_messages_content_search on public.messages (attempt 1, loopback session)
valid  idx_messages_content_search on public.messages after N s
building  idx_messages_unread on public.messages (attempt 1, loopback session)
valid  idx_messages_unread on public.messages after N s
building  idx_messages_user_created on public.messages (attempt 1, loopback session)
valid  idx_messages_user_created on public.messages after N s
building  idx_saved_words_user_word on public.saved_words (attempt 1, loopback session)
valid  idx_saved_words_user_word on public.saved_words after N s
building  idx_saved_words_word_lower on public.saved_words (attempt 1, loopback session)
valid  idx_saved_words_word_lower on public.saved_words after N s
building  idx_user_activity_user on public.user_activity (attempt 1, loopback session)
valid  idx_user_activity_user on public.user_activity after N s
building  idx_popular_words_language_word on public.popular_words (attempt 1, loopback session)
valid  idx_popular_words_language_word on public.popular_words after N s`
  .split('\n')
  .sort();

const AFTER = `
Index builds
index  table  rows  outcome  time  turns  session  attempts
refresh  public.user_activity  N  refreshed  N s  1  loopback  1
idx_user_activity_user  public.user_activity  N  valid  N s  1  loopback  1
refresh  public.popular_words  N  refreshed  N s  1  loopback  1
idx_popular_words_language_word  public.popular_words  N  valid  N s  1  loopback  1
words  public.messages  N  filled  N s  1  attached  1
idx_messages_user_created  public.messages  N  valid  N s  1  loopback  1
idx_messages_unread  public.messages  N  valid  N s  1  loopback  1
idx_messages_content_search  public.messages  N  valid  N s  1  loopback  1
saved_words_user_id_fkey  public.saved_words  N  validated  N s  1  loopback  1
idx_saved_words_word_lower  public.saved_words  N  valid  N s  1  loopback  1
idx_saved_words_user_word  public.saved_words  N  valid  N s  1  loopback  1

The application
N writes, none failed, slowest N ms

Queries
uses idx_messages_user_created: select content from messages where user_id = 42 order by created_at desc limit 20
uses idx_messages_unread: select count(*) from messages where user_id = 42 and read_at is null
uses idx_messages_content_search: select id from messages where to_tsvector('simple', content) @@ to_tsquery('simple', 'w123 & w456')
uses idx_saved_words_word_lower: select count(*) from saved_words where lower(word) = 'w41'
uses idx_saved_words_user_word: select id from saved_words where user_id = 42 and language = 'en' and word = 'W41'
uses idx_users_email_lower: select id from users where lower(email) = 'user42@example.com'
uses idx_daily_stats_day_minutes: select user_id from daily_stats where day = current_date - 1 order by minutes desc limit 10
uses idx_user_activity_user: select messages, last_message_at from user_activity where user_id = 42
uses idx_popular_words_language_word: select learners from popular_words where language = 'en' and word = 'w41'

All valid after N s.`.split('\n');

const steady = (line: string): string =>
  line
    .replace(/\d+(?:\.\d+)? (s|ms)\b/g, 'N $1')
    .replace(/[\d,]+ writes/, 'N writes')
    .replace(/(public\.\w+ +)[\d,]+/, '$1N')
    .replace(/ {2,}/g, '  ');

/** Where lines may come in any order, they are sorted. */
function arranged(lines: readonly string[]): string[] {
  const all = lines.map(steady);
  const [from, to] = [BEFORE.length, BEFORE.length + BUILDING.length];
  return [...all.slice(0, from), ...all.slice(from, to).sort(), ...all.slice(to)];
}

describe('what npm start says', () => {
  it('is this, where lines are read later', { timeout: 3 * MINUTES }, async () => {
    const run = start('--rows', '20000');

    expect(await run.exited, run.stderr()).toBe(0);
    const lines = run
      .stdout()
      .trimEnd()
      .split('\n')
      .filter((line) => !PROGRESS.test(line));
    expect(arranged(lines)).toEqual([...BEFORE, ...BUILDING, ...AFTER]);
    await expectEventually(() => run.left().length === 0, { what: 'nothing to be left' });
  });

  it('says what is wrong with a flag', { timeout: MINUTES }, async () => {
    const run = start('--rows', 'many');

    expect(await run.exited).toBe(1);
    expect(run.stderr()).toContain('It has to be a whole number from 1000 to 100000000.');
  });
});
