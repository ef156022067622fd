import { type Kysely, sql } from 'kysely';

/**
 * Which key version a channel's ciphertext needs, and whether it is one, without the two regular expressions that took a
 * third of what PostgreSQL spends on rewrapping a row. What is refused stays the same. A whole ciphertext names its
 * version, so one check does what two did.
 *
 * The column is made anew, which writes the table once, so that each page has its room for rewraps from now on.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    drop trigger channels_new_key_version on channels;
    drop trigger channels_lower_key_version on channels;
    alter table channels
      drop constraint channels_refresh_token_names_key_version,
      drop constraint channels_refresh_token_is_ciphertext;
    alter table channels
      drop column refresh_token_key_version,
      -- The v and digits, and null for anything else.
      add column refresh_token_key_version integer generated always as (
        case when rtrim(split_part(refresh_token_encrypted, ':', 2), '0123456789') = 'v'
          then nullif(right(split_part(refresh_token_encrypted, ':', 2), -1), '')::integer
        end
      ) stored;
    alter table channels
      add constraint channels_refresh_token_is_ciphertext check (
        refresh_token_encrypted is null or (
          refresh_token_key_version > 0
          and starts_with(refresh_token_encrypted, 'vault:v' || refresh_token_key_version || ':')
          and refresh_token_encrypted like 'vault:v%:_%'
          and refresh_token_encrypted !~ '[[:space:]]'
        ) is true
      );

    create trigger channels_new_key_version after insert on channels for each row
      when (new.refresh_token_key_version is not null)
      execute function refuse_retired_key_version('refresh_token_key_version');
    create trigger channels_lower_key_version after update on channels for each row
      when (new.refresh_token_key_version < coalesce(old.refresh_token_key_version, 2147483647))
      execute function refuse_retired_key_version('refresh_token_key_version');

    comment on column channels.refresh_token_key_version is 'The version of the tenant''s key that the ciphertext needs.';
  `.execute(db);
}
