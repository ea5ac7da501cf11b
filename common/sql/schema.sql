-- The sum of the migrations, written by './dev schema': to read, never to apply.
CREATE EXTENSION IF NOT EXISTS btree_gin WITH SCHEMA public;

COMMENT ON EXTENSION btree_gin IS 'support for indexing common datatypes in GIN';

CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;

COMMENT ON EXTENSION pg_trgm IS 'text similarity measurement and index searching based on trigrams';

CREATE TYPE public.backup_kind AS ENUM (
    'volume',
    'remote'
);

CREATE TYPE public.backup_state AS ENUM (
    'running',
    'finished',
    'failed',
    'cancelled'
);

CREATE TYPE public.call_direction AS ENUM (
    'internal',
    'inbound',
    'outbound'
);

CREATE TYPE public.company_state AS ENUM (
    'active',
    'suspended',
    'delete_pending'
);

CREATE TYPE public.damage_end AS ENUM (
    'fetched',
    'backup',
    'found',
    'deleted'
);

CREATE TYPE public.damage_kind AS ENUM (
    'missing',
    'mismatched',
    'unreadable',
    'untracked'
);

CREATE TYPE public.export_state AS ENUM (
    'preparing',
    'ready',
    'failed',
    'cancelled',
    'expired'
);

CREATE TYPE public.inspection_kind AS ENUM (
    'sweep',
    'scrub'
);

CREATE TYPE public.mail_security AS ENUM (
    'plain',
    'starttls',
    'tls'
);

CREATE TYPE public.pbx_state AS ENUM (
    'active',
    'suspended'
);

CREATE TYPE public.poll_state AS ENUM (
    'listing',
    'fetching',
    'finished',
    'failed'
);

CREATE TYPE public.poll_trigger AS ENUM (
    'first',
    'schedule',
    'request',
    'retry'
);

CREATE TYPE public.purge_reason AS ENUM (
    'retention',
    'company'
);

CREATE TYPE public.purge_state AS ENUM (
    'running',
    'finished',
    'braked'
);

CREATE TYPE public.raid_state AS ENUM (
    'clean',
    'degraded',
    'failed',
    'inactive',
    'missing'
);

CREATE TYPE public.recording_state AS ENUM (
    'listed',
    'stored',
    'gone'
);

CREATE TYPE public.session_step AS ENUM (
    'open',
    'password',
    'code'
);

CREATE TYPE public.upgrade_outcome AS ENUM (
    'done',
    'failed',
    'broken',
    'refused'
);

CREATE TYPE public.waiting_reason AS ENUM (
    'growing',
    'disk_full',
    'disk_error',
    'not_available',
    'bad_media',
    'transfer'
);

CREATE FUNCTION public.plain(text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN lower(regexp_replace(NORMALIZE($1, NFKD), '[̀-ͯ]'::text, ''::text, 'g'::text));

COMMENT ON FUNCTION public.plain(text) IS 'A name without capitals and accents.';

CREATE FUNCTION public.same_number(text, text) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (($1 = $2) OR ((LEAST(length($1), length($2)) >= 7) AND ("right"($1, LEAST(9, length($1), length($2))) = "right"($2, LEAST(9, length($1), length($2))))));

COMMENT ON FUNCTION public.same_number(text, text) IS 'May two strings of digits be one number? Up to 6 digits all of them count, of longer ones the last 9 that both have: +44…, 0044… and 0… meet.';

CREATE TABLE public.legal_hold (
    id integer NOT NULL,
    name text NOT NULL,
    reason text NOT NULL,
    company_id integer,
    number text,
    party text,
    since timestamp with time zone,
    until timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    created_by text NOT NULL,
    released_at timestamp with time zone,
    released_by text,
    release_reason text,
    CONSTRAINT legal_hold_check CHECK ((since < until)),
    CONSTRAINT legal_hold_check1 CHECK (((released_at IS NULL) = (released_by IS NULL))),
    CONSTRAINT legal_hold_check2 CHECK (((released_at IS NULL) = (release_reason IS NULL))),
    CONSTRAINT legal_hold_name_check CHECK ((name <> ''::text)),
    CONSTRAINT legal_hold_number_check CHECK ((number ~ '^[0-9]{2,}$'::text)),
    CONSTRAINT legal_hold_party_check CHECK (((party = public.plain(party)) AND (length(party) >= 2))),
    CONSTRAINT legal_hold_reason_check CHECK ((reason <> ''::text)),
    CONSTRAINT legal_hold_release_reason_check CHECK ((release_reason <> ''::text))
);

COMMENT ON TABLE public.legal_hold IS 'What may not be deleted, whatever retention says. Never changed but to be released. Owner: the web UI.';

COMMENT ON COLUMN public.legal_hold.company_id IS 'Null, like each of the following: any.';

COMMENT ON COLUMN public.legal_hold.until IS 'Not included.';

CREATE FUNCTION public.covers(h public.legal_hold, company integer, started timestamp with time zone, caller text, callee text, parties text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((((h).company_id IS NULL) OR ((h).company_id = company)) AND (((h).since IS NULL) OR (started >= (h).since)) AND (((h).until IS NULL) OR (started < (h).until)) AND (((h).number IS NULL) OR public.same_number((h).number, caller) OR public.same_number((h).number, callee)) AND (((h).party IS NULL) OR (strpos(parties, (h).party) > 0)));

COMMENT ON FUNCTION public.covers(h public.legal_hold, company integer, started timestamp with time zone, caller text, callee text, parties text) IS 'The one definition of what a hold covers; when in doubt it does. Takes of a recording company_id, started_at, digits(caller), digits(callee) and parties.';

CREATE FUNCTION public.digits(text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN regexp_replace(COALESCE("substring"($1, '[0-9][0-9 ()./+-]*'::text), ''::text), '[^0-9]'::text, ''::text, 'g'::text);

COMMENT ON FUNCTION public.digits(text) IS 'The first number in the text of a party, such as 1001 of "1001 Alice Example".';

CREATE FUNCTION public.note_changed_days() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public'
    AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO backup_changed (day) SELECT (started_at AT TIME ZONE 'UTC')::date
            FROM (SELECT started_at FROM changed UNION ALL SELECT started_at FROM former) both_of GROUP BY 1;

    ELSE
        INSERT INTO backup_changed (day)
            SELECT (started_at AT TIME ZONE 'UTC')::date FROM changed GROUP BY 1;

    END IF;

    RETURN NULL;

END $$;

CREATE FUNCTION public.note_changed_parts() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public'
    AS $$
BEGIN
    INSERT INTO backup_changed (day) SELECT (r.started_at AT TIME ZONE 'UTC')::date
        FROM changed c JOIN recording r ON r.id = c.recording_id GROUP BY 1;

    RETURN NULL;

END $$;

CREATE FUNCTION public.note_deletion() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public'
    AS $$
BEGIN
    INSERT INTO backup_delete (path) VALUES (NEW.path) ON CONFLICT DO NOTHING;

    RETURN NULL;

END $$;

CREATE FUNCTION public.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'table % is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';

END $$;

CREATE TABLE public.account (
    name text NOT NULL,
    password_hash text NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    factory boolean DEFAULT false NOT NULL,
    totp_sealed bytea,
    totp_step bigint DEFAULT 0 NOT NULL,
    CONSTRAINT account_name_check CHECK ((name = ANY (ARRAY['sysadmin'::text, 'admin'::text])))
);

COMMENT ON TABLE public.account IS 'Administrators. Owner: the web UI and the console tools.';

COMMENT ON COLUMN public.account.password_hash IS 'Argon2id, encoded.';

COMMENT ON COLUMN public.account.factory IS 'The password is the factory one: it only opens the page that sets another.';

COMMENT ON COLUMN public.account.totp_sealed IS 'Secret of the second factor (RFC 6238), sealed to the key "master", context = totp, name; null: off.';

COMMENT ON COLUMN public.account.totp_step IS 'The last time step whose code was used: each works once.';

CREATE TABLE public.alert (
    id bigint NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    rank integer NOT NULL,
    is_critical boolean NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    raised_at timestamp with time zone NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    quiet_since timestamp with time zone,
    ended_at timestamp with time zone,
    acknowledged_at timestamp with time zone,
    acknowledged_by text,
    told_rank integer DEFAULT 0 NOT NULL,
    told_at timestamp with time zone,
    told_end boolean DEFAULT false NOT NULL,
    CONSTRAINT alert_check CHECK (((acknowledged_at IS NULL) = (acknowledged_by IS NULL))),
    CONSTRAINT alert_rank_check CHECK ((rank > 0))
);

COMMENT ON TABLE public.alert IS 'Conditions that need a person, from when they were first seen until they were no longer. Owner: the notifier; the web UI acknowledges.';

COMMENT ON COLUMN public.alert.subject IS 'What it is about, such as the id of a PBX; empty: the box.';

COMMENT ON COLUMN public.alert.rank IS 'How bad it is now: compared only with itself.';

COMMENT ON COLUMN public.alert.quiet_since IS 'Since when it is over, where it is the kind that comes back at once: it ends when it has been over for a while.';

COMMENT ON COLUMN public.alert.told_rank IS 'The worst that mail has told; 0: it has told nothing.';

ALTER TABLE public.alert ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.alert_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.audit (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    subject text DEFAULT ''::text NOT NULL,
    detail jsonb DEFAULT '{}'::jsonb NOT NULL,
    address inet
);

COMMENT ON TABLE public.audit IS 'Who did what, when, from where. Append only, for everybody.';

ALTER TABLE public.audit ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.backup_brake (
    single boolean DEFAULT true NOT NULL,
    found_at timestamp with time zone NOT NULL,
    recordings bigint NOT NULL,
    lost_rows bigint NOT NULL,
    lost_files bigint NOT NULL,
    confirmed_at timestamp with time zone,
    confirmed_by text,
    CONSTRAINT backup_brake_check CHECK (((confirmed_at IS NULL) = (confirmed_by IS NULL))),
    CONSTRAINT backup_brake_single_check CHECK (single)
);

COMMENT ON TABLE public.backup_brake IS 'What the archive lost, not by policy, when that stopped backups; they go on once it is confirmed. Owner: backupd; the web UI confirms.';

COMMENT ON COLUMN public.backup_brake.recordings IS 'How many there were in the last complete catalogue.';

COMMENT ON COLUMN public.backup_brake.lost_rows IS 'Recordings that the database no longer has; lost_files are those whose file is missing.';

CREATE TABLE public.backup_changed (
    day date NOT NULL,
    written_by xid8 DEFAULT pg_current_xact_id() NOT NULL
);

COMMENT ON TABLE public.backup_changed IS 'Days (UTC) of which rows of recordings changed since the last backup, again and again. Written by triggers; backupd deletes what a finished catalogue has.';

COMMENT ON COLUMN public.backup_changed.written_by IS 'The transaction that changed them: it may be over only after the catalogue was begun.';

CREATE TABLE public.backup_delete (
    path text NOT NULL,
    deleted_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE public.backup_delete IS 'Files that are deleted here and leave the backup after a grace, as they were named. Written by a trigger; backupd deletes.';

CREATE TABLE public.backup_progress (
    target uuid NOT NULL,
    copied_upto xid8 NOT NULL,
    compared_at timestamp with time zone,
    snapshot text,
    taken_at timestamp with time zone
);

COMMENT ON TABLE public.backup_progress IS 'What a target has: all files whose rows were written by transactions before this one. Owner: backupd.';

COMMENT ON COLUMN public.backup_progress.compared_at IS 'When the whole target was last compared with this box; null: the next backup does.';

COMMENT ON COLUMN public.backup_progress.snapshot IS 'What the newest complete catalogue saw, as pg_current_snapshot() says it; taken_at is when.';

CREATE TABLE public.backup_rows (
    target uuid NOT NULL,
    day date NOT NULL,
    sha256 bytea NOT NULL,
    content bytea NOT NULL,
    recordings bigint NOT NULL,
    bytes bigint NOT NULL,
    CONSTRAINT backup_rows_content_check CHECK ((length(content) = 32)),
    CONSTRAINT backup_rows_sha256_check CHECK ((length(sha256) = 32))
);

COMMENT ON TABLE public.backup_rows IS 'The file with the rows of each day in the newest complete catalogue of a target. Owner: backupd.';

COMMENT ON COLUMN public.backup_rows.sha256 IS 'Of the file as it lies at the target; it is part of its name.';

COMMENT ON COLUMN public.backup_rows.content IS 'SHA-256 of what is in it, unpacked: two versions of zlib may pack it differently.';

COMMENT ON COLUMN public.backup_rows.recordings IS 'How many rows of recording_audio are in it, and in bytes the sum of their file_size.';

CREATE TABLE public.backup_run (
    id bigint NOT NULL,
    asked_by text NOT NULL,
    target uuid NOT NULL,
    state public.backup_state DEFAULT 'running'::public.backup_state NOT NULL,
    phase text DEFAULT ''::text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    files_total bigint DEFAULT 0 NOT NULL,
    files_done bigint DEFAULT 0 NOT NULL,
    statistics jsonb DEFAULT '{}'::jsonb NOT NULL,
    catalogue text,
    error text,
    cancel_by text,
    told_at timestamp with time zone,
    CONSTRAINT backup_run_check CHECK (((state = 'running'::public.backup_state) = (finished_at IS NULL)))
);

COMMENT ON TABLE public.backup_run IS 'Backups, running and past. Owner: backupd; the web UI asks to cancel, the notifier notes that it told.';

COMMENT ON COLUMN public.backup_run.statistics IS 'As rsync said: files, transferred, created, deleted, bytes.';

ALTER TABLE public.backup_run ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.backup_run_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.backup_target (
    single boolean DEFAULT true NOT NULL,
    kind public.backup_kind NOT NULL,
    host text DEFAULT ''::text NOT NULL,
    port integer DEFAULT 22 NOT NULL,
    path text DEFAULT ''::text NOT NULL,
    username text DEFAULT ''::text NOT NULL,
    password_sealed bytea,
    host_key text DEFAULT ''::text NOT NULL,
    target uuid NOT NULL,
    saved_at timestamp with time zone DEFAULT now() NOT NULL,
    saved_by text NOT NULL,
    rate_kb integer,
    quiet_from time without time zone,
    quiet_until time without time zone,
    CONSTRAINT backup_target_check CHECK (((kind = 'volume'::public.backup_kind) OR ((host <> ''::text) AND (path ~~ '/%'::text) AND (username <> ''::text) AND (host_key <> ''::text)))),
    CONSTRAINT backup_target_check1 CHECK ((((quiet_from IS NULL) = (quiet_until IS NULL)) AND (quiet_from <> quiet_until))),
    CONSTRAINT backup_target_port_check CHECK (((port >= 1) AND (port <= 65535))),
    CONSTRAINT backup_target_rate_kb_check CHECK ((rate_kb > 0)),
    CONSTRAINT backup_target_single_check CHECK (single)
);

COMMENT ON TABLE public.backup_target IS 'Where backups go; no row: nowhere. Owner: the web UI, which saves only what backupd has tried.';

COMMENT ON COLUMN public.backup_target.password_sealed IS 'Sealed to the key "backup", context = host, port, username, host key; null: the box logs in with its key.';

COMMENT ON COLUMN public.backup_target.host_key IS 'The one host key that is accepted, as type and base64.';

COMMENT ON COLUMN public.backup_target.target IS 'Stands in a file at the target, so that no other directory is taken for it.';

COMMENT ON COLUMN public.backup_target.rate_kb IS 'Kilobytes (1000 bytes) a second that recordings are copied with at most; null: as fast as it goes.';

COMMENT ON COLUMN public.backup_target.quiet_from IS 'From this time of day until quiet_until, a target that has no complete catalogue is not filled; null: it is at any time.';

CREATE TABLE public.box (
    single boolean DEFAULT true NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    CONSTRAINT box_single_check CHECK (single)
);

COMMENT ON TABLE public.box IS 'The identity of this CallStash, to which its licence is bound. Never changed.';

CREATE TABLE public.call_note (
    id bigint NOT NULL,
    recording_id uuid NOT NULL,
    second double precision NOT NULL,
    body text NOT NULL,
    author text NOT NULL,
    author_name text NOT NULL,
    written_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT call_note_body_check CHECK (((body <> ''::text) AND (length(body) <= 2000))),
    CONSTRAINT call_note_second_check CHECK ((second >= (0)::double precision))
);

COMMENT ON TABLE public.call_note IS 'What people wrote on a call, at a second in it. Never changed, only removed by its author. Owner: the web UI.';

COMMENT ON COLUMN public.call_note.author IS 'As in the audit log.';

ALTER TABLE public.call_note ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.call_note_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.command (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    daemon text NOT NULL,
    kind text NOT NULL,
    arguments jsonb DEFAULT '{}'::jsonb NOT NULL,
    asked_by text NOT NULL,
    asked_at timestamp with time zone DEFAULT now() NOT NULL,
    answered_at timestamp with time zone,
    succeeded boolean,
    answer text,
    CONSTRAINT command_check CHECK (((answered_at IS NULL) = (succeeded IS NULL))),
    CONSTRAINT command_check1 CHECK (((answered_at IS NULL) = (answer IS NULL)))
);

COMMENT ON TABLE public.command IS 'What somebody waits for a daemon to do, and its answer in words. The web UI inserts, the daemon answers.';

COMMENT ON COLUMN public.command.arguments IS 'Secrets among them are sealed to the daemon''s key.';

CREATE TABLE public.company (
    id integer NOT NULL,
    uid uuid DEFAULT gen_random_uuid() NOT NULL,
    pbx_id integer NOT NULL,
    name text NOT NULL,
    label text NOT NULL,
    state public.company_state DEFAULT 'active'::public.company_state NOT NULL,
    listed_until timestamp with time zone,
    complete_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    keep_months integer,
    delete_requested_at timestamp with time zone,
    delete_requested_by text,
    CONSTRAINT company_check CHECK (((state = 'delete_pending'::public.company_state) = (delete_requested_at IS NOT NULL))),
    CONSTRAINT company_check1 CHECK (((delete_requested_at IS NULL) = (delete_requested_by IS NULL))),
    CONSTRAINT company_keep_months_check CHECK ((keep_months = ANY (ARRAY[0, 3, 6, 12, 24, 60]))),
    CONSTRAINT company_name_check CHECK ((name <> ''::text))
);

COMMENT ON TABLE public.company IS 'The companies that a PBX lets us poll. Owner: the poller (the web UI moves state to and from delete_pending).';

COMMENT ON COLUMN public.company.listed_until IS 'End of the last window that the PBX listed without an error; null: never.';

COMMENT ON COLUMN public.company.complete_at IS 'When everything that the PBX still had was last listed.';

COMMENT ON COLUMN public.company.keep_months IS 'Age at which its recordings are deleted; 0: never, null: as its PBX says. Owner: the web UI.';

COMMENT ON COLUMN public.company.delete_requested_at IS 'When an administrator asked to delete it with all its recordings. Owner: the web UI.';

ALTER TABLE public.company ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.company_id_seq
    START WITH 201
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.company_key (
    company_id integer NOT NULL,
    version integer NOT NULL,
    kid text NOT NULL,
    public_key bytea NOT NULL,
    private_sealed bytea,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    retired_at timestamp with time zone,
    to_rewrap bigint,
    rewrapped bigint DEFAULT 0 NOT NULL,
    rewrapped_at timestamp with time zone,
    unneeded_at timestamp with time zone,
    CONSTRAINT company_key_check CHECK (((unneeded_at IS NULL) OR (retired_at IS NOT NULL))),
    CONSTRAINT company_key_kid_check CHECK ((kid ~ '^[0-9a-f]{16}$'::text)),
    CONSTRAINT company_key_version_check CHECK ((version > 0))
);

COMMENT ON TABLE public.company_key IS 'RSA key pairs of 3072 bits or more. The poller makes the first when it first sees a company, the console tools make the others. The housekeeper deletes them with their company, and retired ones that nothing needs.';

COMMENT ON COLUMN public.company_key.public_key IS 'SubjectPublicKeyInfo, DER.';

COMMENT ON COLUMN public.company_key.private_sealed IS 'PKCS#8 DER, sealed to the key "master", context = company uid, kid, version; null: the company has it, and this box can only archive.';

COMMENT ON COLUMN public.company_key.to_rewrap IS 'Of a retired key: how many content keys were wrapped with it when they began to be wrapped with the next; null: not begun.';

COMMENT ON COLUMN public.company_key.rewrapped IS 'How many of them are.';

COMMENT ON COLUMN public.company_key.rewrapped_at IS 'When none was left, a day or more after it was retired: until then an archiver may still use it.';

COMMENT ON COLUMN public.company_key.unneeded_at IS 'Since when the housekeeper finds no recording that a retired key opens; null: there is one, or it has not looked. It destroys the key 744 days later.';

CREATE TABLE public.company_usage (
    company_id integer NOT NULL,
    instance smallint NOT NULL,
    calls bigint DEFAULT 0 NOT NULL,
    bytes bigint DEFAULT 0 NOT NULL
);

COMMENT ON TABLE public.company_usage IS 'Stored calls and bytes, one row per archiver instance, so that none waits for another; sum them. Owner: the archiver.';

CREATE TABLE public.completeness (
    company_id integer NOT NULL,
    day date NOT NULL,
    listed integer NOT NULL,
    refused integer NOT NULL,
    stored integer NOT NULL,
    waiting integer NOT NULL,
    gone integer NOT NULL,
    checked_at timestamp with time zone NOT NULL,
    unexplained integer GENERATED ALWAYS AS (GREATEST(0, (((listed - stored) - waiting) - gone))) STORED NOT NULL
);

COMMENT ON TABLE public.completeness IS 'What became of the recordings that a PBX listed, by company and day (UTC) of the call; the last 31 days are counted anew each night. Owner: the housekeeper.';

CREATE TABLE public.daemon_status (
    name text NOT NULL,
    version text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    seen_at timestamp with time zone NOT NULL,
    doing text NOT NULL,
    starts timestamp with time zone[] DEFAULT '{}'::timestamp with time zone[] NOT NULL
);

COMMENT ON TABLE public.daemon_status IS 'One row per running process, refreshed every 10 s by its owner.';

COMMENT ON COLUMN public.daemon_status.starts IS 'The last starts, newest first.';

CREATE TABLE public.damage (
    id bigint NOT NULL,
    path text NOT NULL,
    kind public.damage_kind NOT NULL,
    recording_id uuid,
    generation smallint,
    found_at timestamp with time zone NOT NULL,
    asked_at timestamp with time zone,
    sought_at timestamp with time zone,
    ended_at timestamp with time zone,
    ended_by public.damage_end,
    CONSTRAINT damage_check CHECK (((ended_at IS NULL) = (ended_by IS NULL))),
    CONSTRAINT damage_check1 CHECK (((kind = 'untracked'::public.damage_kind) OR (recording_id IS NOT NULL)))
);

COMMENT ON TABLE public.damage IS 'Stored files that are not as they were stored, and files that nobody knows. Owner: the housekeeper.';

COMMENT ON COLUMN public.damage.generation IS 'Of the file; a later one in recording_audio has taken its place.';

COMMENT ON COLUMN public.damage.asked_at IS 'When it was put in line to be fetched from the PBX again.';

COMMENT ON COLUMN public.damage.sought_at IS 'When backupd last looked for it in the backup.';

ALTER TABLE public.damage ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.damage_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.dead_letter (
    id bigint NOT NULL,
    message_id text NOT NULL,
    topic text NOT NULL,
    body text NOT NULL,
    queue text NOT NULL,
    reason text NOT NULL,
    died_at timestamp with time zone NOT NULL,
    noted_at timestamp with time zone DEFAULT now() NOT NULL,
    settled_at timestamp with time zone,
    settled_by text,
    CONSTRAINT dead_letter_check CHECK (((settled_at IS NULL) = (settled_by IS NULL)))
);

COMMENT ON TABLE public.dead_letter IS 'Messages that no daemon could read or survive. Owner: the housekeeper, which empties the dead-letter queue into it; the web UI settles them.';

COMMENT ON COLUMN public.dead_letter.settled_at IS 'When somebody had it tried again, or dropped it.';

ALTER TABLE public.dead_letter ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.dead_letter_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.digest (
    single boolean DEFAULT true NOT NULL,
    last_at timestamp with time zone NOT NULL,
    CONSTRAINT digest_single_check CHECK (single)
);

COMMENT ON TABLE public.digest IS 'When the weekly mail was last due and sent. Owner: the notifier.';

CREATE TABLE public.disk (
    volume text NOT NULL,
    directory text NOT NULL,
    size bigint NOT NULL,
    free bigint NOT NULL,
    seen_at timestamp with time zone NOT NULL,
    is_low boolean DEFAULT false NOT NULL,
    full_on date,
    CONSTRAINT disk_size_check CHECK ((size > 0)),
    CONSTRAINT disk_volume_check CHECK ((volume = ANY (ARRAY['audio'::text, 'database'::text, 'backup'::text])))
);

COMMENT ON TABLE public.disk IS 'The file systems that can fill up, as they are now; bytes. Owner: the housekeeper.';

COMMENT ON COLUMN public.disk.is_low IS 'Below a tenth; no longer only once it is above twelve hundredths.';

COMMENT ON COLUMN public.disk.full_on IS 'The day on which it is full if it grows as it did; null: not in sight.';

CREATE TABLE public.disk_sample (
    volume text NOT NULL,
    day date NOT NULL,
    used bigint NOT NULL,
    size bigint NOT NULL
);

COMMENT ON TABLE public.disk_sample IS 'Bytes in use at the end of each day, for the forecast. Owner: the housekeeper.';

CREATE TABLE public.export (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    company_id integer NOT NULL,
    company text NOT NULL,
    since timestamp with time zone,
    until timestamp with time zone,
    part text,
    asked_by text NOT NULL,
    asked_at timestamp with time zone DEFAULT now() NOT NULL,
    state public.export_state DEFAULT 'preparing'::public.export_state NOT NULL,
    total bigint NOT NULL,
    calls bigint DEFAULT 0 NOT NULL,
    bytes bigint DEFAULT 0 NOT NULL,
    key_ids text[] DEFAULT '{}'::text[] NOT NULL,
    left_out jsonb DEFAULT '[]'::jsonb NOT NULL,
    table_bytes bigint DEFAULT 0 NOT NULL,
    after_start timestamp with time zone,
    after_id uuid,
    ended_at timestamp with time zone,
    error text,
    CONSTRAINT export_check CHECK (((after_start IS NULL) = (after_id IS NULL))),
    CONSTRAINT export_check1 CHECK (((state = 'preparing'::public.export_state) = (ended_at IS NULL)))
);

COMMENT ON TABLE public.export IS 'An encrypted export that the web UI sends. What is in it lies in the directory named id below the directory of exports, until it is cancelled, fails or expires. Owner: the housekeeper.';

COMMENT ON COLUMN public.export.company IS 'What the company was called, for when it is gone.';

COMMENT ON COLUMN public.export.part IS 'Part of a number or name of one of the parties.';

COMMENT ON COLUMN public.export.calls IS 'Calls that are listed so far; with those left out, of total.';

COMMENT ON COLUMN public.export.table_bytes IS 'Length of calls.csv when the row was written: what is beyond was written by a run that was killed.';

COMMENT ON COLUMN public.export.after_start IS 'The last call that was looked at.';

COMMENT ON COLUMN public.export.ended_at IS 'When it became ready, or ended otherwise.';

CREATE TABLE public.extension_owner (
    company_id integer NOT NULL,
    extension text NOT NULL,
    since timestamp with time zone NOT NULL,
    until timestamp with time zone NOT NULL,
    user_id integer,
    CONSTRAINT extension_owner_check CHECK ((since <= until))
);

COMMENT ON TABLE public.extension_owner IS 'Whose an extension was, from the first to the last time that the PBX said so. Owner: the poller.';

COMMENT ON COLUMN public.extension_owner.user_id IS 'Null: nobody''s.';

CREATE TABLE public.general_settings (
    single boolean DEFAULT true NOT NULL,
    sender text DEFAULT ''::text NOT NULL,
    recipients text[] DEFAULT '{}'::text[] NOT NULL,
    on_disk_low boolean DEFAULT true NOT NULL,
    on_poll_failure boolean DEFAULT true NOT NULL,
    on_backup boolean DEFAULT true NOT NULL,
    users_may_mail_links boolean DEFAULT false NOT NULL,
    on_digest boolean DEFAULT false NOT NULL,
    CONSTRAINT general_settings_single_check CHECK (single)
);

COMMENT ON TABLE public.general_settings IS 'Who is told what by mail. Owner: the web UI.';

CREATE TABLE public.inbox (
    consumer text NOT NULL,
    message_id uuid NOT NULL,
    handled_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE public.inbox IS 'Messages whose effect is committed, so that a repeat is recognised.';

CREATE TABLE public.inspection (
    id bigint NOT NULL,
    kind public.inspection_kind NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    place text DEFAULT ''::text NOT NULL,
    files bigint DEFAULT 0 NOT NULL,
    bytes bigint DEFAULT 0 NOT NULL,
    found bigint DEFAULT 0 NOT NULL
);

COMMENT ON TABLE public.inspection IS 'Sweeps compare the names of files with the database, scrubs read every stored file. Owner: the housekeeper.';

COMMENT ON COLUMN public.inspection.place IS 'How far it is: of a sweep company/day, of a scrub the recording.';

COMMENT ON COLUMN public.inspection.found IS 'Damage that was not known before.';

ALTER TABLE public.inspection ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.inspection_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE public.legal_hold ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.legal_hold_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.licence (
    single boolean DEFAULT true NOT NULL,
    document text NOT NULL,
    serial text NOT NULL,
    pbxs integer NOT NULL,
    activated date NOT NULL,
    support_until date NOT NULL,
    installed_at timestamp with time zone DEFAULT now() NOT NULL,
    refreshed_at timestamp with time zone,
    tried_at timestamp with time zone,
    failures integer DEFAULT 0 NOT NULL,
    error text,
    CONSTRAINT licence_pbxs_check CHECK ((pbxs > 0)),
    CONSTRAINT licence_single_check CHECK (single)
);

COMMENT ON TABLE public.licence IS 'The licence in force. Owner: the housekeeper, which has verified its signature.';

COMMENT ON COLUMN public.licence.document IS 'As the vendor signed it; the other columns stand in it.';

COMMENT ON COLUMN public.licence.error IS 'Why the last refresh failed, in words. It changes nothing else.';

CREATE TABLE public.link (
    id integer NOT NULL,
    token_sha256 bytea NOT NULL,
    recording_id uuid NOT NULL,
    sender text NOT NULL,
    sender_name text NOT NULL,
    recipient text NOT NULL,
    message text DEFAULT ''::text NOT NULL,
    mail_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    most_plays integer,
    plays integer DEFAULT 0 NOT NULL,
    code_hash text,
    code_failures integer DEFAULT 0 NOT NULL,
    revoked_at timestamp with time zone,
    revoked_by text,
    CONSTRAINT link_check CHECK (((expires_at > created_at) AND (expires_at <= (created_at + '72:00:00'::interval)))),
    CONSTRAINT link_check1 CHECK ((plays <= most_plays)),
    CONSTRAINT link_check2 CHECK (((revoked_at IS NULL) = (revoked_by IS NULL))),
    CONSTRAINT link_message_check CHECK ((length(message) <= 2000)),
    CONSTRAINT link_most_plays_check CHECK ((most_plays > 0)),
    CONSTRAINT link_token_sha256_check CHECK ((length(token_sha256) = 32))
);

COMMENT ON TABLE public.link IS 'Links that let somebody without an account hear one recording for a while. The mail holds the token, this table only its hash. Owner: the web UI.';

COMMENT ON COLUMN public.link.sender IS 'As in the audit log.';

COMMENT ON COLUMN public.link.plays IS 'How often it was opened, which is what most_plays limits.';

COMMENT ON COLUMN public.link.code_hash IS 'Argon2id of a code that the recipient must enter, which works once; null: none, or used.';

ALTER TABLE public.link ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.link_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.link_visit (
    link_id integer NOT NULL,
    token_sha256 bytea NOT NULL,
    opened_at timestamp with time zone DEFAULT now() NOT NULL,
    until timestamp with time zone NOT NULL,
    address inet,
    user_agent text DEFAULT ''::text NOT NULL,
    CONSTRAINT link_visit_token_sha256_check CHECK ((length(token_sha256) = 32)),
    CONSTRAINT link_visit_user_agent_check CHECK ((length(user_agent) <= 200))
);

COMMENT ON TABLE public.link_visit IS 'Browsers that opened a link, by the hash of their token, and how long each may play. Owner: the web UI.';

CREATE TABLE public.listing_day (
    company_id integer NOT NULL,
    day date NOT NULL,
    listed integer NOT NULL,
    refused integer DEFAULT 0 NOT NULL
);

COMMENT ON TABLE public.listing_day IS 'How many recordings the PBX listed of each day (UTC), the most that it ever did, counted apart from the recordings. Owner: the poller.';

COMMENT ON COLUMN public.listing_day.refused IS 'Rows that could not be used, by the day of the listing: when their calls were can''t be read.';

CREATE TABLE public.login_failure (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    name text NOT NULL,
    address inet
);

COMMENT ON TABLE public.login_failure IS 'Failed logins, for throttling. Owner: the web UI.';

ALTER TABLE public.login_failure ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.login_failure_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.pbx (
    id integer NOT NULL,
    uid uuid DEFAULT gen_random_uuid() NOT NULL,
    kind text DEFAULT 'ipcortex'::text NOT NULL,
    name text NOT NULL,
    url text NOT NULL,
    certificate text,
    token_sealed bytea NOT NULL,
    timezone text NOT NULL,
    state public.pbx_state DEFAULT 'active'::public.pbx_state NOT NULL,
    poll_minutes integer DEFAULT 1440 NOT NULL,
    poll_at time without time zone DEFAULT '03:00:00'::time without time zone NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    keep_months integer DEFAULT 0 NOT NULL,
    revision integer DEFAULT 1 NOT NULL,
    CONSTRAINT pbx_keep_months_check CHECK ((keep_months = ANY (ARRAY[0, 3, 6, 12, 24, 60]))),
    CONSTRAINT pbx_name_check CHECK ((name <> ''::text)),
    CONSTRAINT pbx_poll_minutes_check CHECK ((poll_minutes = ANY (ARRAY[30, 60, 360, 1440]))),
    CONSTRAINT pbx_url_check CHECK ((url ~ '^https?://[^/]+$'::text))
);

COMMENT ON TABLE public.pbx IS 'The PBXs and their settings. Owner: the web UI and the console tools.';

COMMENT ON COLUMN public.pbx.uid IS 'Stands in the header of every archived file, as nothing else of the PBX does.';

COMMENT ON COLUMN public.pbx.certificate IS 'PEM of the one certificate accepted instead of the public authorities; null: those.';

COMMENT ON COLUMN public.pbx.token_sealed IS 'API token, sealed to the key "pbx" (poller and archiver), context = uid.';

COMMENT ON COLUMN public.pbx.timezone IS 'IANA name of the zone in which the PBX keeps its calendar buckets.';

COMMENT ON COLUMN public.pbx.poll_at IS 'Time of day of a daily poll, in the time zone of this machine.';

COMMENT ON COLUMN public.pbx.keep_months IS 'Age at which recordings of its companies are deleted; 0: never.';

COMMENT ON COLUMN public.pbx.revision IS 'One more with each change of its settings: a form that began with an older one is refused.';

CREATE TABLE public.recording (
    id uuid NOT NULL,
    pbx_id integer NOT NULL,
    company_id integer NOT NULL,
    remote_id text NOT NULL,
    poll_id bigint NOT NULL,
    state public.recording_state DEFAULT 'listed'::public.recording_state NOT NULL,
    started_at timestamp with time zone NOT NULL,
    duration integer NOT NULL,
    caller text NOT NULL,
    callee text NOT NULL,
    direction public.call_direction,
    listed_size bigint,
    listed_at timestamp with time zone DEFAULT now() NOT NULL,
    next_try_at timestamp with time zone,
    attempts integer DEFAULT 0 NOT NULL,
    waiting public.waiting_reason,
    last_error text,
    seen_size bigint,
    seen_times smallint DEFAULT 0 NOT NULL,
    stored_at timestamp with time zone,
    caller_name text DEFAULT ''::text NOT NULL,
    callee_name text DEFAULT ''::text NOT NULL,
    parties text GENERATED ALWAYS AS (public.plain(((((((caller || ' '::text) || callee) || ' '::text) || caller_name) || ' '::text) || callee_name))) STORED NOT NULL,
    CONSTRAINT recording_check CHECK (((state <> 'listed'::public.recording_state) OR (next_try_at IS NOT NULL))),
    CONSTRAINT recording_check1 CHECK (((state <> 'gone'::public.recording_state) OR (next_try_at IS NULL))),
    CONSTRAINT recording_check2 CHECK (((state = 'stored'::public.recording_state) = (stored_at IS NOT NULL))),
    CONSTRAINT recording_duration_check CHECK ((duration >= 0)),
    CONSTRAINT recording_listed_size_check CHECK ((listed_size >= 0)),
    CONSTRAINT recording_remote_id_check CHECK ((remote_id <> ''::text))
);

COMMENT ON TABLE public.recording IS 'A call recording of a company. The poller inserts it as listed and owns what the PBX says of it; the archiver moves it to stored or gone and owns the attempts.';

COMMENT ON COLUMN public.recording.remote_id IS 'The PBX''s own name of it. (company_id, remote_id) is the natural key: listing again is harmless.';

COMMENT ON COLUMN public.recording.poll_id IS 'The poll that listed it first.';

COMMENT ON COLUMN public.recording.duration IS 'Seconds, as the PBX says.';

COMMENT ON COLUMN public.recording.listed_size IS 'Bytes, as the PBX says; null: it does not say.';

COMMENT ON COLUMN public.recording.next_try_at IS 'When to fetch it; null: nothing to fetch. A stored one with a value is fetched again because the PBX now lists another size or duration.';

COMMENT ON COLUMN public.recording.waiting IS 'Why the last attempt did not store it; last_error says so in words.';

COMMENT ON COLUMN public.recording.seen_size IS 'Bytes that the last attempt got where they differ from what is listed, and how many attempts in a row got just these.';

COMMENT ON COLUMN public.recording.caller_name IS 'Name of the user whose extension it was, like callee_name; empty: not known.';

COMMENT ON COLUMN public.recording.parties IS 'What the call is found by.';

CREATE VIEW public.loss_clock AS
 SELECT p.id AS pbx_id,
    p.name,
    ( SELECT min(r.started_at) AS min
           FROM public.recording r
          WHERE ((r.pbx_id = p.id) AND (r.state = 'listed'::public.recording_state))) AS unfetched,
    ( SELECT min(r.started_at) AS min
           FROM public.recording r
          WHERE ((r.pbx_id = p.id) AND (r.state = 'listed'::public.recording_state) AND (r.listed_at < (now() - '06:00:00'::interval)))) AS stuck,
    ( SELECT min(COALESCE(c.listed_until, c.created_at)) AS min
           FROM public.company c
          WHERE ((c.pbx_id = p.id) AND (c.state = 'active'::public.company_state))) AS unlisted
   FROM public.pbx p
  WHERE (p.state = 'active'::public.pbx_state);

COMMENT ON VIEW public.loss_clock IS 'Since when there are calls that the PBX has and the archive does not: the start of the oldest that is listed, of the oldest that was listed hours ago, and the end of what is listed of all companies. 21 days later the PBX forgets them.';

CREATE TABLE public.mail (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    kind text NOT NULL,
    recipient text NOT NULL,
    sealed bytea,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_try_at timestamp with time zone DEFAULT now(),
    sent_at timestamp with time zone,
    refused_at timestamp with time zone,
    error text,
    CONSTRAINT mail_check CHECK ((num_nonnulls(next_try_at, sent_at, refused_at) = 1)),
    CONSTRAINT mail_check1 CHECK (((sealed IS NULL) = (next_try_at IS NULL)))
);

COMMENT ON TABLE public.mail IS 'Mail to one recipient each. Any process inserts; owner: the notifier, which sends it.';

COMMENT ON COLUMN public.mail.sealed IS 'What it says, as JSON, sealed to the key "mail", context = mail, id; gone when it is sent or given up.';

COMMENT ON COLUMN public.mail.expires_at IS 'When it is of no more use, and given up.';

CREATE TABLE public.mail_server (
    single boolean DEFAULT true NOT NULL,
    host text NOT NULL,
    port integer NOT NULL,
    security public.mail_security NOT NULL,
    username text DEFAULT ''::text NOT NULL,
    password_sealed bytea,
    saved_at timestamp with time zone DEFAULT now() NOT NULL,
    saved_by text NOT NULL,
    CONSTRAINT mail_server_check CHECK (((username = ''::text) = (password_sealed IS NULL))),
    CONSTRAINT mail_server_host_check CHECK ((host <> ''::text)),
    CONSTRAINT mail_server_port_check CHECK (((port >= 1) AND (port <= 65535))),
    CONSTRAINT mail_server_single_check CHECK (single)
);

COMMENT ON TABLE public.mail_server IS 'Where mail is handed in; no row: nowhere. Owner: the web UI, which saves only what the notifier has tried.';

COMMENT ON COLUMN public.mail_server.password_sealed IS 'Sealed to the key "mail", context = host, security, username: it opens for no other server.';

CREATE TABLE public.outbox (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    topic text NOT NULL,
    body jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    sent_at timestamp with time zone,
    refused_at timestamp with time zone
);

COMMENT ON TABLE public.outbox IS 'Messages committed with the change they announce. Any process inserts and relays.';

COMMENT ON COLUMN public.outbox.refused_at IS 'No queue was bound to the topic: parked, an operator must look.';

CREATE TABLE public.ownership_due (
    recording_id uuid NOT NULL,
    company_id integer NOT NULL
);

COMMENT ON TABLE public.ownership_due IS 'Recordings of which the PBX has yet to say whose extensions took part. Owner: the poller.';

CREATE TABLE public.pbx_contact (
    pbx_id integer NOT NULL,
    retry_at timestamp with time zone,
    failures integer DEFAULT 0 NOT NULL,
    error text
);

COMMENT ON TABLE public.pbx_contact IS 'Pause between the archivers and a PBX that does not serve downloads at all. Owner: the archiver.';

ALTER TABLE public.pbx ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.pbx_id_seq
    START WITH 10
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.pbx_user (
    id integer NOT NULL,
    pbx_id integer NOT NULL,
    remote_id text NOT NULL,
    login text DEFAULT ''::text NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    CONSTRAINT pbx_user_remote_id_check CHECK ((remote_id <> ''::text))
);

COMMENT ON TABLE public.pbx_user IS 'Users of the PBXs: those who own extensions, and those who have logged in. Owner: the poller; the web UI at each login.';

COMMENT ON COLUMN public.pbx_user.remote_id IS 'The PBX''s own id of the user; login and name may change.';

ALTER TABLE public.pbx_user ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.pbx_user_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.poll (
    id bigint NOT NULL,
    pbx_id integer NOT NULL,
    trigger public.poll_trigger NOT NULL,
    state public.poll_state DEFAULT 'listing'::public.poll_state NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    listed_at timestamp with time zone,
    finished_at timestamp with time zone,
    error text,
    CONSTRAINT poll_check CHECK (((state = ANY (ARRAY['finished'::public.poll_state, 'failed'::public.poll_state])) = (finished_at IS NOT NULL)))
);

COMMENT ON TABLE public.poll IS 'Polls, running and past. Owner: the poller.';

COMMENT ON COLUMN public.poll.error IS 'Why the whole poll failed, in words for an administrator.';

CREATE TABLE public.poll_company (
    poll_id bigint NOT NULL,
    company_id integer NOT NULL,
    polled integer,
    new integer,
    failed integer,
    first_seen boolean DEFAULT false NOT NULL,
    reactivated boolean DEFAULT false NOT NULL,
    error text
);

COMMENT ON TABLE public.poll_company IS 'What a poll found, per company. Owner: the poller.';

COMMENT ON COLUMN public.poll_company.polled IS 'Recordings that the PBX listed; null until it has been asked.';

COMMENT ON COLUMN public.poll_company.failed IS 'Of the new ones, how many could not be fetched when the poll finished.';

ALTER TABLE public.poll ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.poll_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.poll_schedule (
    pbx_id integer NOT NULL,
    next_poll_at timestamp with time zone NOT NULL,
    requested_at timestamp with time zone,
    failures integer DEFAULT 0 NOT NULL
);

COMMENT ON TABLE public.poll_schedule IS 'When each PBX is polled next. Owner: the poller.';

CREATE TABLE public.poll_tally (
    poll_id bigint NOT NULL,
    company_id integer NOT NULL,
    instance smallint NOT NULL,
    stored integer DEFAULT 0 NOT NULL,
    failed integer DEFAULT 0 NOT NULL,
    bytes bigint DEFAULT 0 NOT NULL,
    last_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.poll_tally IS 'Progress of a poll''s downloads: one row per archiver instance, so that none waits for another; sum them. Owner: the archiver.';

COMMENT ON COLUMN public.poll_tally.failed IS 'Attempts that failed (one recording may fail more than once).';

CREATE TABLE public.purge (
    id bigint NOT NULL,
    asked_by text NOT NULL,
    state public.purge_state DEFAULT 'running'::public.purge_state NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    archive_calls bigint NOT NULL,
    planned_calls bigint NOT NULL,
    planned_bytes bigint NOT NULL,
    held_calls bigint NOT NULL,
    deleted_calls bigint DEFAULT 0 NOT NULL,
    deleted_bytes bigint DEFAULT 0 NOT NULL,
    companies integer DEFAULT 0 NOT NULL,
    CONSTRAINT purge_check CHECK (((state = 'running'::public.purge_state) = (finished_at IS NULL)))
);

COMMENT ON TABLE public.purge IS 'Nightly deletions, running and past: what each was to delete and what it did. Owner: the housekeeper.';

COMMENT ON COLUMN public.purge.held_calls IS 'What has expired too and a legal hold keeps.';

COMMENT ON COLUMN public.purge.companies IS 'Companies that are gone for good, with their keys.';

ALTER TABLE public.purge ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.purge_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.purge_permit (
    single boolean DEFAULT true NOT NULL,
    calls bigint NOT NULL,
    granted_at timestamp with time zone DEFAULT now() NOT NULL,
    granted_by text NOT NULL,
    CONSTRAINT purge_permit_single_check CHECK (single)
);

COMMENT ON TABLE public.purge_permit IS 'Lets one deletion of up to so many calls pass the brake, within a day. The web UI grants it, the housekeeper uses it up.';

CREATE TABLE public.raid_array (
    uuid text NOT NULL,
    name text NOT NULL,
    level text NOT NULL,
    state public.raid_state NOT NULL,
    disks integer NOT NULL,
    degraded integer NOT NULL,
    is_read_only boolean DEFAULT false NOT NULL,
    action text,
    percent real,
    minutes_left real,
    seen_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.raid_array IS 'Arrays that were ever seen, by the identity in their superblock; one that is no longer there is missing until it is forgotten. Owner: raidmon.';

COMMENT ON COLUMN public.raid_array.state IS 'failed: more disks are gone than its level can do without.';

COMMENT ON COLUMN public.raid_array.action IS 'recover, resync, check, repair, reshape; null: none runs.';

CREATE TABLE public.raid_member (
    uuid text NOT NULL,
    "position" integer NOT NULL,
    disk text DEFAULT ''::text NOT NULL,
    slot integer,
    is_ok boolean NOT NULL,
    is_removable boolean NOT NULL,
    role text NOT NULL
);

COMMENT ON TABLE public.raid_member IS 'Disks of an array, in the order in which they are shown; a slot without a disk has an empty name. Owner: raidmon.';

COMMENT ON COLUMN public.raid_member.role IS 'in use, rebuilding, spare, faulty, missing.';

CREATE TABLE public.recording_audio (
    recording_id uuid NOT NULL,
    company_id integer NOT NULL,
    key_version integer NOT NULL,
    generation smallint DEFAULT 0 NOT NULL,
    ecek bytea NOT NULL,
    file_size bigint NOT NULL,
    file_sha256 bytea NOT NULL,
    audio_size bigint NOT NULL,
    audio_sha256 bytea NOT NULL,
    mime text NOT NULL,
    codec text NOT NULL,
    channels smallint NOT NULL,
    sample_rate integer NOT NULL,
    seconds double precision NOT NULL,
    data_offset integer NOT NULL,
    data_size bigint NOT NULL,
    peaks bytea,
    written_by xid8 DEFAULT pg_current_xact_id() NOT NULL,
    CONSTRAINT recording_audio_audio_sha256_check CHECK ((length(audio_sha256) = 32)),
    CONSTRAINT recording_audio_file_sha256_check CHECK ((length(file_sha256) = 32))
);

COMMENT ON TABLE public.recording_audio IS 'The stored file of a recording and the key to it. Owner: the archiver. Deleting a row shreds the recording on every backup.';

COMMENT ON COLUMN public.recording_audio.generation IS '0, and one more each time that the file was fetched again; part of the file name.';

COMMENT ON COLUMN public.recording_audio.ecek IS 'Content key wrapped with the company''s public key of key_version.';

COMMENT ON COLUMN public.recording_audio.seconds IS 'Length of the audio itself; 0: a valid file without audio.';

COMMENT ON COLUMN public.recording_audio.data_offset IS 'Where in the audio file the samples begin, and data_size their bytes.';

COMMENT ON COLUMN public.recording_audio.peaks IS 'Waveform, encrypted under the same content key; null: the codec could not be read.';

COMMENT ON COLUMN public.recording_audio.written_by IS 'The transaction that stored or replaced the file: a backup copies what was written since the last one.';

CREATE TABLE public.recording_owner (
    recording_id uuid NOT NULL,
    user_id integer NOT NULL,
    started_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.recording_owner IS 'Users whose own call it is, because an extension that took part was theirs. Decided once. Owner: the poller.';

CREATE TABLE public.recovery_kit (
    single boolean DEFAULT true NOT NULL,
    public_key bytea NOT NULL,
    read_at timestamp with time zone NOT NULL,
    read_by text NOT NULL,
    CONSTRAINT recovery_kit_public_key_check CHECK ((length(public_key) = 32)),
    CONSTRAINT recovery_kit_single_check CHECK (single)
);

COMMENT ON TABLE public.recovery_kit IS 'When somebody last showed the recovery kit, and of which master key. Owner: callstash check-kit.';

CREATE TABLE public.restore_drill (
    id bigint NOT NULL,
    target uuid NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone NOT NULL,
    catalogue text NOT NULL,
    recordings bigint NOT NULL,
    sampled integer NOT NULL,
    error text
);

COMMENT ON TABLE public.restore_drill IS 'Tries to rebuild the database from a target and to read recordings back. Owner: backupd.';

COMMENT ON COLUMN public.restore_drill.sampled IS 'Recordings that were read back; null error: all as they were stored.';

ALTER TABLE public.restore_drill ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.restore_drill_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.schema_migration (
    version text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.sealed_credential (
    name text NOT NULL,
    sealed bytea NOT NULL
);

COMMENT ON TABLE public.sealed_credential IS 'The secret keys of the daemons, sealed to the key "master", context = credential, name: whoever restores gets them back with it. Owner: the set-up tool.';

CREATE TABLE public.sealing_key (
    name text NOT NULL,
    public_key bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT sealing_key_name_check CHECK ((name = ANY (ARRAY['master'::text, 'pbx'::text, 'mail'::text, 'backup'::text]))),
    CONSTRAINT sealing_key_public_key_check CHECK ((length(public_key) = 32))
);

COMMENT ON TABLE public.sealing_key IS 'X25519 public keys to which secrets in tables are sealed (HPKE, RFC 9180). Owner: the set-up tool. The private halves are credentials of the units that may open them.';

CREATE TABLE public.session (
    token_sha256 bytea NOT NULL,
    account text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL,
    address inet,
    notice text,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    step public.session_step DEFAULT 'open'::public.session_step NOT NULL,
    user_agent text DEFAULT ''::text NOT NULL,
    user_id integer,
    hears integer[] DEFAULT '{}'::integer[] NOT NULL,
    CONSTRAINT session_check CHECK ((num_nonnulls(account, user_id) = 1)),
    CONSTRAINT session_check1 CHECK (((user_id IS NOT NULL) OR (hears = '{}'::integer[]))),
    CONSTRAINT session_token_sha256_check CHECK ((length(token_sha256) = 32)),
    CONSTRAINT session_user_agent_check CHECK ((length(user_agent) <= 200))
);

COMMENT ON TABLE public.session IS 'Logged-in browsers. The cookie holds the token, this table only its hash. Owner: the web UI.';

COMMENT ON COLUMN public.session.notice IS 'What the next page says once, such as that something was saved.';

COMMENT ON COLUMN public.session.step IS 'What this browser has yet to do before it is logged in: set a password, or enter a code.';

COMMENT ON COLUMN public.session.user_id IS 'A PBX user, where it is not an administrator''s.';

COMMENT ON COLUMN public.session.hears IS 'Companies of which this user hears all calls, as the PBX said at the login.';

CREATE TABLE public.signing_key (
    single boolean DEFAULT true NOT NULL,
    public_key bytea NOT NULL,
    CONSTRAINT signing_key_public_key_check CHECK ((length(public_key) = 32)),
    CONSTRAINT signing_key_single_check CHECK (single)
);

COMMENT ON TABLE public.signing_key IS 'The public half of the Ed25519 key that signs exports and evidence; the private half is the credential sign.key. Owner: the set-up tool.';

CREATE TABLE public.ssh_key (
    single boolean DEFAULT true NOT NULL,
    public_key text NOT NULL,
    CONSTRAINT ssh_key_single_check CHECK (single)
);

COMMENT ON TABLE public.ssh_key IS 'With which the box logs in to a backup server, as one line for authorized_keys. Owner: the set-up tool.';

CREATE TABLE public.tombstone (
    recording_id uuid NOT NULL,
    company_id integer NOT NULL,
    purge_id bigint NOT NULL,
    deleted_at timestamp with time zone DEFAULT now() NOT NULL,
    reason public.purge_reason NOT NULL,
    asked_by text NOT NULL
);

COMMENT ON TABLE public.tombstone IS 'What is left of a deleted recording: that it was there, when it went, why, and who wanted it. Owner: the housekeeper.';

CREATE TABLE public.unlink_pending (
    path text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE public.unlink_pending IS 'Files to remove, committed with the change that made them superfluous; relative to the archive. A name stands here only if it is never used again. Owner: the archiver.';

CREATE TABLE public.upgrade (
    single boolean DEFAULT true NOT NULL,
    checked_at timestamp with time zone NOT NULL,
    installed text,
    candidate text,
    error text,
    CONSTRAINT upgrade_single_check CHECK (single)
);

COMMENT ON TABLE public.upgrade IS 'Which version apt would install. Owner: the housekeeper.';

COMMENT ON COLUMN public.upgrade.installed IS 'Null: it does not run from the package.';

COMMENT ON COLUMN public.upgrade.candidate IS 'A newer version; null: there is none.';

COMMENT ON COLUMN public.upgrade.error IS 'Why the last check found nothing out; null: it did.';

CREATE TABLE public.upgrade_run (
    id text NOT NULL,
    asked_by text NOT NULL,
    before_version text,
    after_version text,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone NOT NULL,
    outcome public.upgrade_outcome NOT NULL,
    text text NOT NULL
);

COMMENT ON TABLE public.upgrade_run IS 'Upgrades that are over, as callstash-upgrade wrote them down. Owner: the housekeeper.';

COMMENT ON COLUMN public.upgrade_run.outcome IS 'done; failed: the version before runs again; broken: it does not; refused: nothing was begun.';

CREATE TABLE public.webhook (
    id integer NOT NULL,
    url text NOT NULL,
    secret_sealed bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    created_by text NOT NULL,
    CONSTRAINT webhook_url_check CHECK ((url ~ '^https?://[^/]+'::text))
);

COMMENT ON TABLE public.webhook IS 'Addresses that are told of alerts besides mail. Owner: the web UI.';

COMMENT ON COLUMN public.webhook.secret_sealed IS 'Key of the signature, sealed to the key "mail", context = webhook, url.';

CREATE TABLE public.webhook_delivery (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    webhook_id integer NOT NULL,
    body text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_try_at timestamp with time zone,
    sent_at timestamp with time zone,
    error text
);

COMMENT ON TABLE public.webhook_delivery IS 'What webhooks are told, each until it is taken or of no more use. Owner: the notifier.';

ALTER TABLE public.webhook ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.webhook_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE ONLY public.account
    ADD CONSTRAINT account_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.alert
    ADD CONSTRAINT alert_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.backup_brake
    ADD CONSTRAINT backup_brake_pkey PRIMARY KEY (single);

ALTER TABLE ONLY public.backup_delete
    ADD CONSTRAINT backup_delete_pkey PRIMARY KEY (path);

ALTER TABLE ONLY public.backup_progress
    ADD CONSTRAINT backup_progress_pkey PRIMARY KEY (target);

ALTER TABLE ONLY public.backup_rows
    ADD CONSTRAINT backup_rows_pkey PRIMARY KEY (target, day);

ALTER TABLE ONLY public.backup_run
    ADD CONSTRAINT backup_run_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.backup_target
    ADD CONSTRAINT backup_target_pkey PRIMARY KEY (single);

ALTER TABLE ONLY public.box
    ADD CONSTRAINT box_pkey PRIMARY KEY (single);

ALTER TABLE ONLY public.call_note
    ADD CONSTRAINT call_note_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.command
    ADD CONSTRAINT command_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.company_key
    ADD CONSTRAINT company_key_kid_key UNIQUE (kid);

ALTER TABLE ONLY public.company_key
    ADD CONSTRAINT company_key_pkey PRIMARY KEY (company_id, version);

ALTER TABLE ONLY public.company
    ADD CONSTRAINT company_pbx_id_name_key UNIQUE (pbx_id, name);

ALTER TABLE ONLY public.company
    ADD CONSTRAINT company_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.company
    ADD CONSTRAINT company_uid_key UNIQUE (uid);

ALTER TABLE ONLY public.company_usage
    ADD CONSTRAINT company_usage_pkey PRIMARY KEY (company_id, instance);

ALTER TABLE ONLY public.completeness
    ADD CONSTRAINT completeness_pkey PRIMARY KEY (company_id, day);

ALTER TABLE ONLY public.daemon_status
    ADD CONSTRAINT daemon_status_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.damage
    ADD CONSTRAINT damage_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.dead_letter
    ADD CONSTRAINT dead_letter_message_id_queue_died_at_key UNIQUE (message_id, queue, died_at);

ALTER TABLE ONLY public.dead_letter
    ADD CONSTRAINT dead_letter_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.digest
    ADD CONSTRAINT digest_pkey PRIMARY KEY (single);

ALTER TABLE ONLY public.disk
    ADD CONSTRAINT disk_pkey PRIMARY KEY (volume);

ALTER TABLE ONLY public.disk_sample
    ADD CONSTRAINT disk_sample_pkey PRIMARY KEY (volume, day);

ALTER TABLE ONLY public.export
    ADD CONSTRAINT export_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.extension_owner
    ADD CONSTRAINT extension_owner_pkey PRIMARY KEY (company_id, extension, since);

ALTER TABLE ONLY public.general_settings
    ADD CONSTRAINT general_settings_pkey PRIMARY KEY (single);

ALTER TABLE ONLY public.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (consumer, message_id);

ALTER TABLE ONLY public.inspection
    ADD CONSTRAINT inspection_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.legal_hold
    ADD CONSTRAINT legal_hold_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.licence
    ADD CONSTRAINT licence_pkey PRIMARY KEY (single);

ALTER TABLE ONLY public.link
    ADD CONSTRAINT link_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.link
    ADD CONSTRAINT link_token_sha256_key UNIQUE (token_sha256);

ALTER TABLE ONLY public.link_visit
    ADD CONSTRAINT link_visit_pkey PRIMARY KEY (link_id, token_sha256, opened_at);

ALTER TABLE ONLY public.listing_day
    ADD CONSTRAINT listing_day_pkey PRIMARY KEY (company_id, day);

ALTER TABLE ONLY public.login_failure
    ADD CONSTRAINT login_failure_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.mail
    ADD CONSTRAINT mail_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.mail_server
    ADD CONSTRAINT mail_server_pkey PRIMARY KEY (single);

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.ownership_due
    ADD CONSTRAINT ownership_due_pkey PRIMARY KEY (recording_id);

ALTER TABLE ONLY public.pbx_contact
    ADD CONSTRAINT pbx_contact_pkey PRIMARY KEY (pbx_id);

ALTER TABLE ONLY public.pbx
    ADD CONSTRAINT pbx_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.pbx
    ADD CONSTRAINT pbx_uid_key UNIQUE (uid);

ALTER TABLE ONLY public.pbx
    ADD CONSTRAINT pbx_url_key UNIQUE (url);

ALTER TABLE ONLY public.pbx_user
    ADD CONSTRAINT pbx_user_pbx_id_remote_id_key UNIQUE (pbx_id, remote_id);

ALTER TABLE ONLY public.pbx_user
    ADD CONSTRAINT pbx_user_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.poll_company
    ADD CONSTRAINT poll_company_pkey PRIMARY KEY (poll_id, company_id);

ALTER TABLE ONLY public.poll
    ADD CONSTRAINT poll_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.poll_schedule
    ADD CONSTRAINT poll_schedule_pkey PRIMARY KEY (pbx_id);

ALTER TABLE ONLY public.poll_tally
    ADD CONSTRAINT poll_tally_pkey PRIMARY KEY (poll_id, company_id, instance);

ALTER TABLE ONLY public.purge_permit
    ADD CONSTRAINT purge_permit_pkey PRIMARY KEY (single);

ALTER TABLE ONLY public.purge
    ADD CONSTRAINT purge_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.raid_array
    ADD CONSTRAINT raid_array_pkey PRIMARY KEY (uuid);

ALTER TABLE ONLY public.raid_member
    ADD CONSTRAINT raid_member_pkey PRIMARY KEY (uuid, "position");

ALTER TABLE ONLY public.recording_audio
    ADD CONSTRAINT recording_audio_pkey PRIMARY KEY (recording_id);

ALTER TABLE ONLY public.recording
    ADD CONSTRAINT recording_company_id_remote_id_key UNIQUE (company_id, remote_id);

ALTER TABLE ONLY public.recording_owner
    ADD CONSTRAINT recording_owner_pkey PRIMARY KEY (recording_id, user_id);

ALTER TABLE ONLY public.recording
    ADD CONSTRAINT recording_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.recovery_kit
    ADD CONSTRAINT recovery_kit_pkey PRIMARY KEY (single);

ALTER TABLE ONLY public.restore_drill
    ADD CONSTRAINT restore_drill_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.schema_migration
    ADD CONSTRAINT schema_migration_pkey PRIMARY KEY (version);

ALTER TABLE ONLY public.sealed_credential
    ADD CONSTRAINT sealed_credential_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.sealing_key
    ADD CONSTRAINT sealing_key_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.session
    ADD CONSTRAINT session_id_key UNIQUE (id);

ALTER TABLE ONLY public.session
    ADD CONSTRAINT session_pkey PRIMARY KEY (token_sha256);

ALTER TABLE ONLY public.signing_key
    ADD CONSTRAINT signing_key_pkey PRIMARY KEY (single);

ALTER TABLE ONLY public.ssh_key
    ADD CONSTRAINT ssh_key_pkey PRIMARY KEY (single);

ALTER TABLE ONLY public.tombstone
    ADD CONSTRAINT tombstone_pkey PRIMARY KEY (recording_id);

ALTER TABLE ONLY public.unlink_pending
    ADD CONSTRAINT unlink_pending_pkey PRIMARY KEY (path);

ALTER TABLE ONLY public.upgrade
    ADD CONSTRAINT upgrade_pkey PRIMARY KEY (single);

ALTER TABLE ONLY public.upgrade_run
    ADD CONSTRAINT upgrade_run_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.webhook_delivery
    ADD CONSTRAINT webhook_delivery_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.webhook
    ADD CONSTRAINT webhook_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.webhook
    ADD CONSTRAINT webhook_url_key UNIQUE (url);

CREATE INDEX alert_ended ON public.alert USING btree (ended_at) WHERE (ended_at IS NOT NULL);

CREATE UNIQUE INDEX alert_open ON public.alert USING btree (kind, subject) WHERE (ended_at IS NULL);

CREATE INDEX alert_told ON public.alert USING btree (told_at) WHERE (told_at IS NOT NULL);

CREATE INDEX audit_action ON public.audit USING btree (action, at, id);

CREATE INDEX audit_actor ON public.audit USING btree (actor, at, id);

CREATE INDEX audit_address ON public.audit USING btree (address, at, id);

CREATE INDEX audit_at ON public.audit USING btree (at, id);

CREATE INDEX audit_subject ON public.audit USING btree (subject, at, id);

CREATE INDEX audit_text ON public.audit USING gin ((((subject || ' '::text) || (detail)::text)) public.gin_trgm_ops);

CREATE INDEX backup_delete_at ON public.backup_delete USING btree (deleted_at);

CREATE UNIQUE INDEX backup_run_running ON public.backup_run USING btree ((true)) WHERE (state = 'running'::public.backup_state);

CREATE INDEX call_note_recording ON public.call_note USING btree (recording_id, second, id);

CREATE INDEX command_open ON public.command USING btree (daemon, asked_at) WHERE (answered_at IS NULL);

CREATE UNIQUE INDEX company_key_current ON public.company_key USING btree (company_id) WHERE (retired_at IS NULL);

CREATE INDEX completeness_open ON public.completeness USING btree (day) WHERE ((unexplained > 0) OR (waiting > 0));

CREATE UNIQUE INDEX damage_open ON public.damage USING btree (path) WHERE (ended_at IS NULL);

CREATE INDEX damage_recording ON public.damage USING btree (recording_id) WHERE (ended_at IS NULL);

CREATE INDEX dead_letter_open ON public.dead_letter USING btree (id) WHERE (settled_at IS NULL);

CREATE INDEX export_company ON public.export USING btree (company_id, asked_at DESC);

CREATE INDEX export_open ON public.export USING btree (asked_at) WHERE (state = ANY (ARRAY['preparing'::public.export_state, 'ready'::public.export_state]));

CREATE UNIQUE INDEX inspection_running ON public.inspection USING btree (kind) WHERE (finished_at IS NULL);

CREATE INDEX legal_hold_active ON public.legal_hold USING btree (company_id) WHERE (released_at IS NULL);

CREATE INDEX link_mail ON public.link USING btree (mail_id);

CREATE INDEX link_recording ON public.link USING btree (recording_id);

CREATE INDEX link_sender ON public.link USING btree (sender, id DESC);

CREATE INDEX login_failure_address ON public.login_failure USING btree (address, at);

CREATE INDEX login_failure_name ON public.login_failure USING btree (name, at);

CREATE INDEX mail_due ON public.mail USING btree (next_try_at) WHERE (next_try_at IS NOT NULL);

CREATE INDEX outbox_parked ON public.outbox USING btree (created_at) WHERE (refused_at IS NOT NULL);

CREATE INDEX outbox_waiting ON public.outbox USING btree (created_at) WHERE ((sent_at IS NULL) AND (refused_at IS NULL));

CREATE INDEX ownership_due_company ON public.ownership_due USING btree (company_id);

CREATE INDEX poll_history ON public.poll USING btree (pbx_id, id DESC);

CREATE UNIQUE INDEX poll_running ON public.poll USING btree (pbx_id) WHERE (finished_at IS NULL);

CREATE UNIQUE INDEX purge_running ON public.purge USING btree ((true)) WHERE (state = 'running'::public.purge_state);

CREATE INDEX recording_audio_key ON public.recording_audio USING btree (company_id, key_version);

CREATE INDEX recording_audio_written ON public.recording_audio USING btree (written_by);

CREATE INDEX recording_callee ON public.recording USING btree (reverse(public.digits(callee)) text_pattern_ops);

CREATE INDEX recording_caller ON public.recording USING btree (reverse(public.digits(caller)) text_pattern_ops);

CREATE INDEX recording_due ON public.recording USING btree (pbx_id, next_try_at, started_at) WHERE (next_try_at IS NOT NULL);

CREATE INDEX recording_gone ON public.recording USING btree (listed_at) WHERE (state = 'gone'::public.recording_state);

CREATE INDEX recording_long ON public.recording USING btree (duration, company_id) WHERE (duration >= 600);

CREATE INDEX recording_newest ON public.recording USING btree (company_id, started_at DESC, id DESC);

CREATE INDEX recording_owner_newest ON public.recording_owner USING btree (user_id, started_at DESC, recording_id DESC);

CREATE INDEX recording_parties ON public.recording USING gin (company_id, parties public.gin_trgm_ops);

CREATE INDEX recording_started ON public.recording USING btree (started_at DESC, id DESC);

CREATE INDEX recording_unfetched ON public.recording USING btree (pbx_id, started_at) INCLUDE (listed_at) WHERE (state = 'listed'::public.recording_state);

CREATE INDEX recording_unsettled ON public.recording USING btree (poll_id) WHERE (next_try_at IS NOT NULL);

CREATE INDEX upgrade_run_finished ON public.upgrade_run USING btree (finished_at);

CREATE INDEX webhook_delivery_due ON public.webhook_delivery USING btree (next_try_at) WHERE (next_try_at IS NOT NULL);

CREATE INDEX webhook_delivery_of ON public.webhook_delivery USING btree (webhook_id, created_at DESC);

CREATE TRIGGER audit_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER backup_deleted AFTER DELETE ON public.recording REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.note_changed_days();

CREATE TRIGGER backup_deleted AFTER DELETE ON public.recording_audio REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.note_changed_parts();

CREATE TRIGGER backup_deleted AFTER DELETE ON public.recording_owner REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.note_changed_parts();

CREATE TRIGGER backup_inserted AFTER INSERT ON public.recording REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.note_changed_days();

CREATE TRIGGER backup_inserted AFTER INSERT ON public.recording_audio REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.note_changed_parts();

CREATE TRIGGER backup_inserted AFTER INSERT ON public.recording_owner REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.note_changed_parts();

CREATE TRIGGER backup_updated AFTER UPDATE ON public.recording REFERENCING OLD TABLE AS former NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.note_changed_days();

CREATE TRIGGER backup_updated AFTER UPDATE ON public.recording_audio REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.note_changed_parts();

CREATE TRIGGER backup_updated AFTER UPDATE ON public.recording_owner REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.note_changed_parts();

CREATE TRIGGER unlink_noted AFTER INSERT ON public.unlink_pending FOR EACH ROW EXECUTE FUNCTION public.note_deletion();

ALTER TABLE ONLY public.call_note
    ADD CONSTRAINT call_note_recording_id_fkey FOREIGN KEY (recording_id) REFERENCES public.recording(id);

ALTER TABLE ONLY public.company_key
    ADD CONSTRAINT company_key_company_id_fkey FOREIGN KEY (company_id) REFERENCES public.company(id);

ALTER TABLE ONLY public.company
    ADD CONSTRAINT company_pbx_id_fkey FOREIGN KEY (pbx_id) REFERENCES public.pbx(id);

ALTER TABLE ONLY public.company_usage
    ADD CONSTRAINT company_usage_company_id_fkey FOREIGN KEY (company_id) REFERENCES public.company(id);

ALTER TABLE ONLY public.completeness
    ADD CONSTRAINT completeness_company_id_fkey FOREIGN KEY (company_id) REFERENCES public.company(id);

ALTER TABLE ONLY public.extension_owner
    ADD CONSTRAINT extension_owner_company_id_fkey FOREIGN KEY (company_id) REFERENCES public.company(id);

ALTER TABLE ONLY public.extension_owner
    ADD CONSTRAINT extension_owner_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.pbx_user(id);

ALTER TABLE ONLY public.link
    ADD CONSTRAINT link_mail_id_fkey FOREIGN KEY (mail_id) REFERENCES public.mail(id);

ALTER TABLE ONLY public.link
    ADD CONSTRAINT link_recording_id_fkey FOREIGN KEY (recording_id) REFERENCES public.recording(id);

ALTER TABLE ONLY public.link_visit
    ADD CONSTRAINT link_visit_link_id_fkey FOREIGN KEY (link_id) REFERENCES public.link(id);

ALTER TABLE ONLY public.listing_day
    ADD CONSTRAINT listing_day_company_id_fkey FOREIGN KEY (company_id) REFERENCES public.company(id);

ALTER TABLE ONLY public.ownership_due
    ADD CONSTRAINT ownership_due_company_id_fkey FOREIGN KEY (company_id) REFERENCES public.company(id);

ALTER TABLE ONLY public.ownership_due
    ADD CONSTRAINT ownership_due_recording_id_fkey FOREIGN KEY (recording_id) REFERENCES public.recording(id);

ALTER TABLE ONLY public.pbx_contact
    ADD CONSTRAINT pbx_contact_pbx_id_fkey FOREIGN KEY (pbx_id) REFERENCES public.pbx(id);

ALTER TABLE ONLY public.pbx_user
    ADD CONSTRAINT pbx_user_pbx_id_fkey FOREIGN KEY (pbx_id) REFERENCES public.pbx(id);

ALTER TABLE ONLY public.poll_company
    ADD CONSTRAINT poll_company_company_id_fkey FOREIGN KEY (company_id) REFERENCES public.company(id);

ALTER TABLE ONLY public.poll_company
    ADD CONSTRAINT poll_company_poll_id_fkey FOREIGN KEY (poll_id) REFERENCES public.poll(id);

ALTER TABLE ONLY public.poll
    ADD CONSTRAINT poll_pbx_id_fkey FOREIGN KEY (pbx_id) REFERENCES public.pbx(id);

ALTER TABLE ONLY public.poll_schedule
    ADD CONSTRAINT poll_schedule_pbx_id_fkey FOREIGN KEY (pbx_id) REFERENCES public.pbx(id);

ALTER TABLE ONLY public.poll_tally
    ADD CONSTRAINT poll_tally_company_id_fkey FOREIGN KEY (company_id) REFERENCES public.company(id);

ALTER TABLE ONLY public.poll_tally
    ADD CONSTRAINT poll_tally_poll_id_fkey FOREIGN KEY (poll_id) REFERENCES public.poll(id);

ALTER TABLE ONLY public.raid_member
    ADD CONSTRAINT raid_member_uuid_fkey FOREIGN KEY (uuid) REFERENCES public.raid_array(uuid) ON DELETE CASCADE;

ALTER TABLE ONLY public.recording_audio
    ADD CONSTRAINT recording_audio_company_id_key_version_fkey FOREIGN KEY (company_id, key_version) REFERENCES public.company_key(company_id, version);

ALTER TABLE ONLY public.recording_audio
    ADD CONSTRAINT recording_audio_recording_id_fkey FOREIGN KEY (recording_id) REFERENCES public.recording(id);

ALTER TABLE ONLY public.recording
    ADD CONSTRAINT recording_company_id_fkey FOREIGN KEY (company_id) REFERENCES public.company(id);

ALTER TABLE ONLY public.recording_owner
    ADD CONSTRAINT recording_owner_recording_id_fkey FOREIGN KEY (recording_id) REFERENCES public.recording(id);

ALTER TABLE ONLY public.recording_owner
    ADD CONSTRAINT recording_owner_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.pbx_user(id);

ALTER TABLE ONLY public.recording
    ADD CONSTRAINT recording_pbx_id_fkey FOREIGN KEY (pbx_id) REFERENCES public.pbx(id);

ALTER TABLE ONLY public.recording
    ADD CONSTRAINT recording_poll_id_fkey FOREIGN KEY (poll_id) REFERENCES public.poll(id);

ALTER TABLE ONLY public.session
    ADD CONSTRAINT session_account_fkey FOREIGN KEY (account) REFERENCES public.account(name) ON DELETE CASCADE;

ALTER TABLE ONLY public.session
    ADD CONSTRAINT session_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.pbx_user(id);

ALTER TABLE ONLY public.tombstone
    ADD CONSTRAINT tombstone_purge_id_fkey FOREIGN KEY (purge_id) REFERENCES public.purge(id);

ALTER TABLE ONLY public.webhook_delivery
    ADD CONSTRAINT webhook_delivery_webhook_id_fkey FOREIGN KEY (webhook_id) REFERENCES public.webhook(id) ON DELETE CASCADE;

GRANT SELECT,INSERT ON TABLE public.legal_hold TO callstash_web;

GRANT SELECT ON TABLE public.legal_hold TO callstash_housekeeper;

GRANT UPDATE(released_at) ON TABLE public.legal_hold TO callstash_web;

GRANT UPDATE(released_by) ON TABLE public.legal_hold TO callstash_web;

GRANT UPDATE(release_reason) ON TABLE public.legal_hold TO callstash_web;

GRANT SELECT,INSERT,UPDATE ON TABLE public.account TO callstash_web;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.alert TO callstash_notifier;

GRANT SELECT ON TABLE public.alert TO callstash_web;

GRANT SELECT(id) ON TABLE public.alert TO callstash_metrics;

GRANT SELECT(kind) ON TABLE public.alert TO callstash_metrics;

GRANT SELECT(is_critical) ON TABLE public.alert TO callstash_metrics;

GRANT SELECT(title) ON TABLE public.alert TO callstash_metrics;

GRANT SELECT(raised_at) ON TABLE public.alert TO callstash_metrics;

GRANT SELECT(ended_at) ON TABLE public.alert TO callstash_metrics;

GRANT UPDATE(acknowledged_at) ON TABLE public.alert TO callstash_web;

GRANT SELECT(acknowledged_at) ON TABLE public.alert TO callstash_metrics;

GRANT UPDATE(acknowledged_by) ON TABLE public.alert TO callstash_web;

GRANT SELECT ON TABLE public.audit TO callstash_web;

GRANT INSERT(actor) ON TABLE public.audit TO callstash_poller;

GRANT INSERT(actor) ON TABLE public.audit TO callstash_archiver;

GRANT INSERT(actor) ON TABLE public.audit TO callstash_web;

GRANT INSERT(actor) ON TABLE public.audit TO callstash_housekeeper;

GRANT INSERT(actor) ON TABLE public.audit TO callstash_notifier;

GRANT INSERT(actor) ON TABLE public.audit TO callstash_backupd;

GRANT INSERT(actor) ON TABLE public.audit TO callstash_support;

GRANT INSERT(action) ON TABLE public.audit TO callstash_poller;

GRANT INSERT(action) ON TABLE public.audit TO callstash_archiver;

GRANT INSERT(action) ON TABLE public.audit TO callstash_web;

GRANT INSERT(action) ON TABLE public.audit TO callstash_housekeeper;

GRANT INSERT(action) ON TABLE public.audit TO callstash_notifier;

GRANT INSERT(action) ON TABLE public.audit TO callstash_backupd;

GRANT INSERT(action) ON TABLE public.audit TO callstash_support;

GRANT INSERT(subject) ON TABLE public.audit TO callstash_poller;

GRANT INSERT(subject) ON TABLE public.audit TO callstash_archiver;

GRANT INSERT(subject) ON TABLE public.audit TO callstash_web;

GRANT INSERT(subject) ON TABLE public.audit TO callstash_housekeeper;

GRANT INSERT(subject) ON TABLE public.audit TO callstash_notifier;

GRANT INSERT(subject) ON TABLE public.audit TO callstash_backupd;

GRANT INSERT(subject) ON TABLE public.audit TO callstash_support;

GRANT INSERT(detail) ON TABLE public.audit TO callstash_poller;

GRANT INSERT(detail) ON TABLE public.audit TO callstash_archiver;

GRANT INSERT(detail) ON TABLE public.audit TO callstash_web;

GRANT INSERT(detail) ON TABLE public.audit TO callstash_housekeeper;

GRANT INSERT(detail) ON TABLE public.audit TO callstash_notifier;

GRANT INSERT(detail) ON TABLE public.audit TO callstash_backupd;

GRANT INSERT(detail) ON TABLE public.audit TO callstash_support;

GRANT INSERT(address) ON TABLE public.audit TO callstash_poller;

GRANT INSERT(address) ON TABLE public.audit TO callstash_archiver;

GRANT INSERT(address) ON TABLE public.audit TO callstash_web;

GRANT INSERT(address) ON TABLE public.audit TO callstash_housekeeper;

GRANT INSERT(address) ON TABLE public.audit TO callstash_notifier;

GRANT INSERT(address) ON TABLE public.audit TO callstash_backupd;

GRANT INSERT(address) ON TABLE public.audit TO callstash_support;

GRANT INSERT,DELETE,UPDATE ON TABLE public.backup_brake TO callstash_backupd;

GRANT SELECT ON TABLE public.backup_brake TO callstash_web;

GRANT SELECT ON TABLE public.backup_brake TO callstash_notifier;

GRANT SELECT(lost_rows) ON TABLE public.backup_brake TO callstash_metrics;

GRANT SELECT(lost_files) ON TABLE public.backup_brake TO callstash_metrics;

GRANT UPDATE(confirmed_at) ON TABLE public.backup_brake TO callstash_web;

GRANT SELECT(confirmed_at) ON TABLE public.backup_brake TO callstash_metrics;

GRANT UPDATE(confirmed_by) ON TABLE public.backup_brake TO callstash_web;

GRANT DELETE ON TABLE public.backup_changed TO callstash_backupd;

GRANT DELETE ON TABLE public.backup_delete TO callstash_backupd;

GRANT INSERT,DELETE,UPDATE ON TABLE public.backup_progress TO callstash_backupd;

GRANT INSERT,DELETE,UPDATE ON TABLE public.backup_rows TO callstash_backupd;

GRANT INSERT,UPDATE ON TABLE public.backup_run TO callstash_backupd;

GRANT SELECT ON TABLE public.backup_run TO callstash_web;

GRANT SELECT ON TABLE public.backup_run TO callstash_notifier;

GRANT SELECT(id) ON TABLE public.backup_run TO callstash_metrics;

GRANT SELECT(state) ON TABLE public.backup_run TO callstash_metrics;

GRANT SELECT(finished_at) ON TABLE public.backup_run TO callstash_metrics;

GRANT SELECT(statistics) ON TABLE public.backup_run TO callstash_metrics;

GRANT SELECT(error) ON TABLE public.backup_run TO callstash_metrics;

GRANT UPDATE(cancel_by) ON TABLE public.backup_run TO callstash_web;

GRANT UPDATE(told_at) ON TABLE public.backup_run TO callstash_notifier;

GRANT INSERT,DELETE,UPDATE ON TABLE public.backup_target TO callstash_web;

GRANT SELECT(single) ON TABLE public.backup_target TO callstash_web;

GRANT SELECT(single) ON TABLE public.backup_target TO callstash_notifier;

GRANT SELECT(kind) ON TABLE public.backup_target TO callstash_web;

GRANT SELECT(kind) ON TABLE public.backup_target TO callstash_notifier;

GRANT SELECT(host) ON TABLE public.backup_target TO callstash_web;

GRANT SELECT(port) ON TABLE public.backup_target TO callstash_web;

GRANT SELECT(path) ON TABLE public.backup_target TO callstash_web;

GRANT SELECT(username) ON TABLE public.backup_target TO callstash_web;

GRANT SELECT(host_key) ON TABLE public.backup_target TO callstash_web;

GRANT SELECT(target) ON TABLE public.backup_target TO callstash_web;

GRANT SELECT(saved_at) ON TABLE public.backup_target TO callstash_web;

GRANT SELECT(saved_at) ON TABLE public.backup_target TO callstash_notifier;

GRANT SELECT(saved_at) ON TABLE public.backup_target TO callstash_metrics;

GRANT SELECT(saved_by) ON TABLE public.backup_target TO callstash_web;

GRANT SELECT(rate_kb) ON TABLE public.backup_target TO callstash_web;

GRANT SELECT(quiet_from) ON TABLE public.backup_target TO callstash_web;

GRANT SELECT(quiet_until) ON TABLE public.backup_target TO callstash_web;

GRANT SELECT ON TABLE public.box TO callstash_web;

GRANT SELECT ON TABLE public.box TO callstash_housekeeper;

GRANT SELECT,DELETE ON TABLE public.call_note TO callstash_web;

GRANT SELECT,DELETE ON TABLE public.call_note TO callstash_housekeeper;

GRANT INSERT(recording_id) ON TABLE public.call_note TO callstash_web;

GRANT INSERT(second) ON TABLE public.call_note TO callstash_web;

GRANT INSERT(body) ON TABLE public.call_note TO callstash_web;

GRANT INSERT(author) ON TABLE public.call_note TO callstash_web;

GRANT INSERT(author_name) ON TABLE public.call_note TO callstash_web;

GRANT SELECT,INSERT ON TABLE public.command TO callstash_web;

GRANT SELECT ON TABLE public.command TO callstash_poller;

GRANT SELECT,DELETE ON TABLE public.command TO callstash_housekeeper;

GRANT SELECT ON TABLE public.command TO callstash_notifier;

GRANT UPDATE(answered_at) ON TABLE public.command TO callstash_poller;

GRANT UPDATE(answered_at) ON TABLE public.command TO callstash_housekeeper;

GRANT UPDATE(answered_at) ON TABLE public.command TO callstash_notifier;

GRANT UPDATE(answered_at) ON TABLE public.command TO callstash_backupd;

GRANT UPDATE(succeeded) ON TABLE public.command TO callstash_poller;

GRANT UPDATE(succeeded) ON TABLE public.command TO callstash_housekeeper;

GRANT UPDATE(succeeded) ON TABLE public.command TO callstash_notifier;

GRANT UPDATE(succeeded) ON TABLE public.command TO callstash_backupd;

GRANT UPDATE(answer) ON TABLE public.command TO callstash_poller;

GRANT UPDATE(answer) ON TABLE public.command TO callstash_housekeeper;

GRANT UPDATE(answer) ON TABLE public.command TO callstash_notifier;

GRANT UPDATE(answer) ON TABLE public.command TO callstash_backupd;

GRANT SELECT,INSERT,UPDATE ON TABLE public.company TO callstash_poller;

GRANT SELECT ON TABLE public.company TO callstash_archiver;

GRANT SELECT ON TABLE public.company TO callstash_web;

GRANT SELECT,DELETE ON TABLE public.company TO callstash_housekeeper;

GRANT SELECT ON TABLE public.company TO callstash_notifier;

GRANT SELECT(id) ON TABLE public.company TO callstash_metrics;

GRANT UPDATE(state) ON TABLE public.company TO callstash_web;

GRANT UPDATE(keep_months) ON TABLE public.company TO callstash_web;

GRANT UPDATE(delete_requested_at) ON TABLE public.company TO callstash_web;

GRANT UPDATE(delete_requested_by) ON TABLE public.company TO callstash_web;

GRANT INSERT ON TABLE public.company_key TO callstash_poller;

GRANT SELECT ON TABLE public.company_key TO callstash_web;

GRANT DELETE ON TABLE public.company_key TO callstash_housekeeper;

GRANT SELECT(company_id) ON TABLE public.company_key TO callstash_poller;

GRANT SELECT(company_id) ON TABLE public.company_key TO callstash_archiver;

GRANT SELECT(company_id) ON TABLE public.company_key TO callstash_housekeeper;

GRANT SELECT(version) ON TABLE public.company_key TO callstash_poller;

GRANT SELECT(version) ON TABLE public.company_key TO callstash_archiver;

GRANT SELECT(version) ON TABLE public.company_key TO callstash_housekeeper;

GRANT SELECT(kid) ON TABLE public.company_key TO callstash_poller;

GRANT SELECT(kid) ON TABLE public.company_key TO callstash_archiver;

GRANT SELECT(kid) ON TABLE public.company_key TO callstash_housekeeper;

GRANT SELECT(public_key) ON TABLE public.company_key TO callstash_poller;

GRANT SELECT(public_key) ON TABLE public.company_key TO callstash_archiver;

GRANT SELECT(created_at) ON TABLE public.company_key TO callstash_poller;

GRANT SELECT(created_at) ON TABLE public.company_key TO callstash_archiver;

GRANT SELECT(retired_at) ON TABLE public.company_key TO callstash_poller;

GRANT SELECT(retired_at) ON TABLE public.company_key TO callstash_archiver;

GRANT SELECT(retired_at) ON TABLE public.company_key TO callstash_housekeeper;

GRANT SELECT(unneeded_at),UPDATE(unneeded_at) ON TABLE public.company_key TO callstash_housekeeper;

GRANT SELECT,INSERT,UPDATE ON TABLE public.company_usage TO callstash_archiver;

GRANT SELECT ON TABLE public.company_usage TO callstash_poller;

GRANT SELECT ON TABLE public.company_usage TO callstash_web;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.company_usage TO callstash_housekeeper;

GRANT SELECT ON TABLE public.company_usage TO callstash_metrics;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.completeness TO callstash_housekeeper;

GRANT SELECT ON TABLE public.completeness TO callstash_web;

GRANT SELECT ON TABLE public.completeness TO callstash_notifier;

GRANT SELECT ON TABLE public.completeness TO callstash_metrics;

GRANT SELECT,INSERT,UPDATE ON TABLE public.daemon_status TO callstash_poller;

GRANT SELECT,INSERT,UPDATE ON TABLE public.daemon_status TO callstash_archiver;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.daemon_status TO callstash_web;

GRANT SELECT,INSERT,UPDATE ON TABLE public.daemon_status TO callstash_housekeeper;

GRANT SELECT,INSERT,UPDATE ON TABLE public.daemon_status TO callstash_notifier;

GRANT SELECT,INSERT,UPDATE ON TABLE public.daemon_status TO callstash_raidmon;

GRANT SELECT,INSERT,UPDATE ON TABLE public.daemon_status TO callstash_backupd;

GRANT SELECT ON TABLE public.daemon_status TO callstash_metrics;

GRANT SELECT ON TABLE public.damage TO callstash_archiver;

GRANT SELECT ON TABLE public.damage TO callstash_web;

GRANT SELECT,INSERT,UPDATE ON TABLE public.damage TO callstash_housekeeper;

GRANT SELECT ON TABLE public.damage TO callstash_notifier;

GRANT SELECT(kind) ON TABLE public.damage TO callstash_metrics;

GRANT UPDATE(sought_at) ON TABLE public.damage TO callstash_backupd;

GRANT SELECT(ended_at) ON TABLE public.damage TO callstash_metrics;

GRANT SELECT,INSERT,DELETE ON TABLE public.dead_letter TO callstash_housekeeper;

GRANT SELECT ON TABLE public.dead_letter TO callstash_web;

GRANT SELECT ON TABLE public.dead_letter TO callstash_notifier;

GRANT UPDATE(settled_at) ON TABLE public.dead_letter TO callstash_web;

GRANT SELECT(settled_at) ON TABLE public.dead_letter TO callstash_metrics;

GRANT UPDATE(settled_by) ON TABLE public.dead_letter TO callstash_web;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.digest TO callstash_notifier;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.disk TO callstash_housekeeper;

GRANT SELECT ON TABLE public.disk TO callstash_web;

GRANT SELECT ON TABLE public.disk TO callstash_archiver;

GRANT SELECT ON TABLE public.disk TO callstash_notifier;

GRANT SELECT ON TABLE public.disk TO callstash_metrics;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.disk_sample TO callstash_housekeeper;

GRANT SELECT ON TABLE public.disk_sample TO callstash_web;

GRANT SELECT,INSERT,UPDATE ON TABLE public.export TO callstash_housekeeper;

GRANT SELECT ON TABLE public.export TO callstash_web;

GRANT SELECT,INSERT,UPDATE ON TABLE public.extension_owner TO callstash_poller;

GRANT SELECT,DELETE ON TABLE public.extension_owner TO callstash_housekeeper;

GRANT SELECT,UPDATE ON TABLE public.general_settings TO callstash_web;

GRANT SELECT ON TABLE public.general_settings TO callstash_notifier;

GRANT SELECT ON TABLE public.general_settings TO callstash_housekeeper;

GRANT SELECT,INSERT ON TABLE public.inbox TO callstash_poller;

GRANT SELECT,INSERT ON TABLE public.inbox TO callstash_archiver;

GRANT SELECT,INSERT,DELETE ON TABLE public.inbox TO callstash_housekeeper;

GRANT SELECT,INSERT ON TABLE public.inbox TO callstash_notifier;

GRANT SELECT,INSERT ON TABLE public.inbox TO callstash_raidmon;

GRANT SELECT,INSERT ON TABLE public.inbox TO callstash_backupd;

GRANT SELECT,INSERT,UPDATE ON TABLE public.inspection TO callstash_housekeeper;

GRANT SELECT ON TABLE public.inspection TO callstash_web;

GRANT SELECT ON TABLE public.inspection TO callstash_notifier;

GRANT SELECT ON TABLE public.licence TO callstash_web;

GRANT SELECT,INSERT,UPDATE ON TABLE public.licence TO callstash_housekeeper;

GRANT SELECT(serial) ON TABLE public.licence TO callstash_metrics;

GRANT SELECT(pbxs) ON TABLE public.licence TO callstash_metrics;

GRANT SELECT(support_until) ON TABLE public.licence TO callstash_metrics;

GRANT SELECT,INSERT ON TABLE public.link TO callstash_web;

GRANT SELECT,DELETE ON TABLE public.link TO callstash_housekeeper;

GRANT SELECT(mail_id) ON TABLE public.link TO callstash_notifier;

GRANT UPDATE(most_plays) ON TABLE public.link TO callstash_web;

GRANT UPDATE(plays) ON TABLE public.link TO callstash_web;

GRANT UPDATE(code_hash) ON TABLE public.link TO callstash_web;

GRANT UPDATE(code_failures) ON TABLE public.link TO callstash_web;

GRANT UPDATE(revoked_at) ON TABLE public.link TO callstash_web;

GRANT UPDATE(revoked_by) ON TABLE public.link TO callstash_web;

GRANT SELECT,INSERT ON TABLE public.link_visit TO callstash_web;

GRANT SELECT,DELETE ON TABLE public.link_visit TO callstash_housekeeper;

GRANT SELECT,INSERT,UPDATE ON TABLE public.listing_day TO callstash_poller;

GRANT SELECT,DELETE ON TABLE public.listing_day TO callstash_housekeeper;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.login_failure TO callstash_web;

GRANT SELECT ON TABLE public.pbx TO callstash_poller;

GRANT SELECT ON TABLE public.pbx TO callstash_archiver;

GRANT INSERT,UPDATE ON TABLE public.pbx TO callstash_web;

GRANT SELECT(id) ON TABLE public.pbx TO callstash_web;

GRANT SELECT(id) ON TABLE public.pbx TO callstash_housekeeper;

GRANT SELECT(id) ON TABLE public.pbx TO callstash_notifier;

GRANT SELECT(id) ON TABLE public.pbx TO callstash_metrics;

GRANT SELECT(uid) ON TABLE public.pbx TO callstash_web;

GRANT SELECT(uid) ON TABLE public.pbx TO callstash_housekeeper;

GRANT SELECT(kind) ON TABLE public.pbx TO callstash_web;

GRANT SELECT(name) ON TABLE public.pbx TO callstash_web;

GRANT SELECT(name) ON TABLE public.pbx TO callstash_housekeeper;

GRANT SELECT(name) ON TABLE public.pbx TO callstash_notifier;

GRANT SELECT(name) ON TABLE public.pbx TO callstash_metrics;

GRANT SELECT(url) ON TABLE public.pbx TO callstash_web;

GRANT SELECT(url) ON TABLE public.pbx TO callstash_housekeeper;

GRANT SELECT(certificate) ON TABLE public.pbx TO callstash_web;

GRANT SELECT(timezone) ON TABLE public.pbx TO callstash_web;

GRANT SELECT(state) ON TABLE public.pbx TO callstash_web;

GRANT SELECT(state) ON TABLE public.pbx TO callstash_housekeeper;

GRANT SELECT(state) ON TABLE public.pbx TO callstash_notifier;

GRANT SELECT(state) ON TABLE public.pbx TO callstash_metrics;

GRANT SELECT(poll_minutes) ON TABLE public.pbx TO callstash_web;

GRANT SELECT(poll_minutes) ON TABLE public.pbx TO callstash_metrics;

GRANT SELECT(poll_at) ON TABLE public.pbx TO callstash_web;

GRANT SELECT(created_at) ON TABLE public.pbx TO callstash_web;

GRANT SELECT(keep_months) ON TABLE public.pbx TO callstash_web;

GRANT SELECT(keep_months) ON TABLE public.pbx TO callstash_housekeeper;

GRANT SELECT(revision) ON TABLE public.pbx TO callstash_web;

GRANT SELECT,INSERT ON TABLE public.recording TO callstash_poller;

GRANT SELECT ON TABLE public.recording TO callstash_archiver;

GRANT SELECT ON TABLE public.recording TO callstash_web;

GRANT SELECT,DELETE,UPDATE ON TABLE public.recording TO callstash_housekeeper;

GRANT SELECT(id) ON TABLE public.recording TO callstash_notifier;

GRANT UPDATE(state) ON TABLE public.recording TO callstash_poller;

GRANT UPDATE(state) ON TABLE public.recording TO callstash_archiver;

GRANT SELECT(state) ON TABLE public.recording TO callstash_notifier;

GRANT SELECT(state) ON TABLE public.recording TO callstash_metrics;

GRANT UPDATE(duration) ON TABLE public.recording TO callstash_poller;

GRANT UPDATE(direction) ON TABLE public.recording TO callstash_poller;

GRANT UPDATE(listed_size) ON TABLE public.recording TO callstash_poller;

GRANT SELECT(listed_at) ON TABLE public.recording TO callstash_notifier;

GRANT SELECT(listed_at) ON TABLE public.recording TO callstash_metrics;

GRANT UPDATE(next_try_at) ON TABLE public.recording TO callstash_poller;

GRANT UPDATE(next_try_at) ON TABLE public.recording TO callstash_archiver;

GRANT SELECT(next_try_at) ON TABLE public.recording TO callstash_metrics;

GRANT UPDATE(attempts) ON TABLE public.recording TO callstash_poller;

GRANT UPDATE(attempts) ON TABLE public.recording TO callstash_archiver;

GRANT UPDATE(waiting) ON TABLE public.recording TO callstash_archiver;

GRANT SELECT(waiting) ON TABLE public.recording TO callstash_metrics;

GRANT UPDATE(last_error) ON TABLE public.recording TO callstash_archiver;

GRANT UPDATE(seen_size) ON TABLE public.recording TO callstash_archiver;

GRANT UPDATE(seen_times) ON TABLE public.recording TO callstash_archiver;

GRANT UPDATE(stored_at) ON TABLE public.recording TO callstash_archiver;

GRANT UPDATE(caller_name) ON TABLE public.recording TO callstash_poller;

GRANT UPDATE(callee_name) ON TABLE public.recording TO callstash_poller;

GRANT SELECT ON TABLE public.loss_clock TO callstash_web;

GRANT SELECT ON TABLE public.loss_clock TO callstash_notifier;

GRANT SELECT ON TABLE public.loss_clock TO callstash_metrics;

GRANT INSERT ON TABLE public.mail TO callstash_web;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.mail TO callstash_notifier;

GRANT SELECT(id) ON TABLE public.mail TO callstash_web;

GRANT INSERT(id) ON TABLE public.mail TO callstash_housekeeper;

GRANT SELECT(kind) ON TABLE public.mail TO callstash_web;

GRANT INSERT(kind) ON TABLE public.mail TO callstash_housekeeper;

GRANT SELECT(recipient) ON TABLE public.mail TO callstash_web;

GRANT INSERT(recipient) ON TABLE public.mail TO callstash_housekeeper;

GRANT INSERT(sealed) ON TABLE public.mail TO callstash_housekeeper;

GRANT SELECT(created_at) ON TABLE public.mail TO callstash_web;

GRANT INSERT(expires_at) ON TABLE public.mail TO callstash_housekeeper;

GRANT SELECT(attempts) ON TABLE public.mail TO callstash_web;

GRANT SELECT(next_try_at) ON TABLE public.mail TO callstash_web;

GRANT SELECT(next_try_at) ON TABLE public.mail TO callstash_metrics;

GRANT SELECT(sent_at) ON TABLE public.mail TO callstash_web;

GRANT SELECT(refused_at) ON TABLE public.mail TO callstash_web;

GRANT SELECT(error) ON TABLE public.mail TO callstash_web;

GRANT INSERT,DELETE,UPDATE ON TABLE public.mail_server TO callstash_web;

GRANT SELECT ON TABLE public.mail_server TO callstash_notifier;

GRANT SELECT(single) ON TABLE public.mail_server TO callstash_web;

GRANT SELECT(host) ON TABLE public.mail_server TO callstash_web;

GRANT SELECT(port) ON TABLE public.mail_server TO callstash_web;

GRANT SELECT(security) ON TABLE public.mail_server TO callstash_web;

GRANT SELECT(username) ON TABLE public.mail_server TO callstash_web;

GRANT SELECT(saved_at) ON TABLE public.mail_server TO callstash_web;

GRANT SELECT(saved_by) ON TABLE public.mail_server TO callstash_web;

GRANT SELECT,INSERT,UPDATE ON TABLE public.outbox TO callstash_poller;

GRANT SELECT,INSERT,UPDATE ON TABLE public.outbox TO callstash_archiver;

GRANT SELECT,INSERT,UPDATE ON TABLE public.outbox TO callstash_web;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.outbox TO callstash_housekeeper;

GRANT SELECT,INSERT,UPDATE ON TABLE public.outbox TO callstash_notifier;

GRANT SELECT,INSERT,UPDATE ON TABLE public.outbox TO callstash_raidmon;

GRANT SELECT,INSERT,UPDATE ON TABLE public.outbox TO callstash_backupd;

GRANT SELECT(sent_at) ON TABLE public.outbox TO callstash_metrics;

GRANT SELECT(refused_at) ON TABLE public.outbox TO callstash_metrics;

GRANT SELECT,INSERT,DELETE ON TABLE public.ownership_due TO callstash_poller;

GRANT SELECT,DELETE ON TABLE public.ownership_due TO callstash_housekeeper;

GRANT SELECT,INSERT,UPDATE ON TABLE public.pbx_contact TO callstash_archiver;

GRANT SELECT ON TABLE public.pbx_contact TO callstash_poller;

GRANT SELECT ON TABLE public.pbx_contact TO callstash_web;

GRANT SELECT ON TABLE public.pbx_contact TO callstash_notifier;

GRANT SELECT(pbx_id) ON TABLE public.pbx_contact TO callstash_metrics;

GRANT SELECT(failures) ON TABLE public.pbx_contact TO callstash_metrics;

GRANT SELECT,INSERT ON TABLE public.pbx_user TO callstash_poller;

GRANT SELECT,INSERT ON TABLE public.pbx_user TO callstash_web;

GRANT UPDATE(login) ON TABLE public.pbx_user TO callstash_web;

GRANT UPDATE(name) ON TABLE public.pbx_user TO callstash_poller;

GRANT UPDATE(name) ON TABLE public.pbx_user TO callstash_web;

GRANT SELECT,INSERT,UPDATE ON TABLE public.poll TO callstash_poller;

GRANT SELECT ON TABLE public.poll TO callstash_archiver;

GRANT SELECT ON TABLE public.poll TO callstash_web;

GRANT SELECT ON TABLE public.poll TO callstash_notifier;

GRANT SELECT(id) ON TABLE public.poll TO callstash_metrics;

GRANT SELECT(pbx_id) ON TABLE public.poll TO callstash_metrics;

GRANT SELECT(state) ON TABLE public.poll TO callstash_metrics;

GRANT SELECT(finished_at) ON TABLE public.poll TO callstash_metrics;

GRANT SELECT,INSERT,UPDATE ON TABLE public.poll_company TO callstash_poller;

GRANT SELECT ON TABLE public.poll_company TO callstash_archiver;

GRANT SELECT ON TABLE public.poll_company TO callstash_web;

GRANT SELECT,DELETE ON TABLE public.poll_company TO callstash_housekeeper;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.poll_schedule TO callstash_poller;

GRANT SELECT ON TABLE public.poll_schedule TO callstash_archiver;

GRANT SELECT ON TABLE public.poll_schedule TO callstash_web;

GRANT SELECT ON TABLE public.poll_schedule TO callstash_notifier;

GRANT SELECT(pbx_id) ON TABLE public.poll_schedule TO callstash_metrics;

GRANT SELECT(failures) ON TABLE public.poll_schedule TO callstash_metrics;

GRANT SELECT,INSERT,UPDATE ON TABLE public.poll_tally TO callstash_archiver;

GRANT SELECT ON TABLE public.poll_tally TO callstash_poller;

GRANT SELECT ON TABLE public.poll_tally TO callstash_web;

GRANT SELECT,DELETE ON TABLE public.poll_tally TO callstash_housekeeper;

GRANT SELECT ON TABLE public.poll_tally TO callstash_notifier;

GRANT SELECT,INSERT,UPDATE ON TABLE public.purge TO callstash_housekeeper;

GRANT SELECT ON TABLE public.purge TO callstash_web;

GRANT SELECT ON TABLE public.purge TO callstash_notifier;

GRANT SELECT,DELETE ON TABLE public.purge_permit TO callstash_housekeeper;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.purge_permit TO callstash_web;

GRANT SELECT ON TABLE public.purge_permit TO callstash_notifier;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.raid_array TO callstash_raidmon;

GRANT SELECT ON TABLE public.raid_array TO callstash_notifier;

GRANT SELECT,DELETE ON TABLE public.raid_array TO callstash_web;

GRANT SELECT ON TABLE public.raid_array TO callstash_metrics;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.raid_member TO callstash_raidmon;

GRANT SELECT ON TABLE public.raid_member TO callstash_notifier;

GRANT SELECT ON TABLE public.raid_member TO callstash_web;

GRANT SELECT ON TABLE public.raid_member TO callstash_metrics;

GRANT SELECT ON TABLE public.recording_audio TO callstash_web;

GRANT SELECT,INSERT,UPDATE ON TABLE public.recording_audio TO callstash_archiver;

GRANT SELECT,DELETE ON TABLE public.recording_audio TO callstash_housekeeper;

GRANT SELECT,INSERT ON TABLE public.recording_owner TO callstash_poller;

GRANT SELECT ON TABLE public.recording_owner TO callstash_web;

GRANT SELECT,DELETE ON TABLE public.recording_owner TO callstash_housekeeper;

GRANT SELECT ON TABLE public.recovery_kit TO callstash_web;

GRANT SELECT ON TABLE public.recovery_kit TO callstash_notifier;

GRANT INSERT ON TABLE public.restore_drill TO callstash_backupd;

GRANT SELECT ON TABLE public.restore_drill TO callstash_notifier;

GRANT SELECT ON TABLE public.restore_drill TO callstash_web;

GRANT SELECT(id) ON TABLE public.restore_drill TO callstash_metrics;

GRANT SELECT(finished_at) ON TABLE public.restore_drill TO callstash_metrics;

GRANT SELECT(error) ON TABLE public.restore_drill TO callstash_metrics;

GRANT SELECT ON TABLE public.schema_migration TO callstash_poller;

GRANT SELECT ON TABLE public.schema_migration TO callstash_archiver;

GRANT SELECT ON TABLE public.schema_migration TO callstash_web;

GRANT SELECT ON TABLE public.schema_migration TO callstash_housekeeper;

GRANT SELECT ON TABLE public.schema_migration TO callstash_notifier;

GRANT SELECT ON TABLE public.schema_migration TO callstash_raidmon;

GRANT SELECT ON TABLE public.schema_migration TO callstash_metrics;

GRANT SELECT ON TABLE public.sealing_key TO callstash_poller;

GRANT SELECT ON TABLE public.sealing_key TO callstash_archiver;

GRANT SELECT ON TABLE public.sealing_key TO callstash_web;

GRANT SELECT ON TABLE public.sealing_key TO callstash_housekeeper;

GRANT SELECT ON TABLE public.sealing_key TO callstash_notifier;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.session TO callstash_web;

GRANT SELECT ON TABLE public.signing_key TO callstash_web;

GRANT SELECT ON TABLE public.ssh_key TO callstash_web;

GRANT SELECT,INSERT ON TABLE public.tombstone TO callstash_housekeeper;

GRANT SELECT ON TABLE public.tombstone TO callstash_web;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.unlink_pending TO callstash_archiver;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.unlink_pending TO callstash_housekeeper;

GRANT SELECT,INSERT,UPDATE ON TABLE public.upgrade TO callstash_housekeeper;

GRANT SELECT ON TABLE public.upgrade TO callstash_web;

GRANT SELECT,INSERT ON TABLE public.upgrade_run TO callstash_housekeeper;

GRANT SELECT ON TABLE public.upgrade_run TO callstash_web;

GRANT SELECT ON TABLE public.upgrade_run TO callstash_notifier;

GRANT SELECT ON TABLE public.webhook TO callstash_notifier;

GRANT INSERT,DELETE ON TABLE public.webhook TO callstash_web;

GRANT SELECT(id) ON TABLE public.webhook TO callstash_web;

GRANT SELECT(url) ON TABLE public.webhook TO callstash_web;

GRANT SELECT(created_at) ON TABLE public.webhook TO callstash_web;

GRANT SELECT(created_by) ON TABLE public.webhook TO callstash_web;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.webhook_delivery TO callstash_notifier;

GRANT SELECT ON TABLE public.webhook_delivery TO callstash_web;
