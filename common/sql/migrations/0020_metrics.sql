-- Who serves the metrics sees sums and states, and nothing of a call, a person or a secret.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'callstash_metrics') THEN
        CREATE ROLE callstash_metrics LOGIN;
    END IF;
END $$;

GRANT SELECT ON schema_migration, company_usage, loss_clock, disk, completeness, daemon_status,
    raid_array, raid_member TO callstash_metrics;
GRANT SELECT (id) ON company TO callstash_metrics;
GRANT SELECT (state, waiting, next_try_at, listed_at) ON recording TO callstash_metrics;
GRANT SELECT (id, name, state, poll_minutes) ON pbx TO callstash_metrics;
GRANT SELECT (pbx_id, failures) ON poll_schedule TO callstash_metrics;
GRANT SELECT (pbx_id, failures) ON pbx_contact TO callstash_metrics;
GRANT SELECT (id, pbx_id, state, finished_at) ON poll TO callstash_metrics;
GRANT SELECT (kind, ended_at) ON damage TO callstash_metrics;
GRANT SELECT (sent_at, refused_at) ON outbox TO callstash_metrics;
GRANT SELECT (settled_at) ON dead_letter TO callstash_metrics;
GRANT SELECT (next_try_at) ON mail TO callstash_metrics;
GRANT SELECT (id, kind, is_critical, title, raised_at, acknowledged_at, ended_at) ON alert
    TO callstash_metrics;
GRANT SELECT (saved_at) ON backup_target TO callstash_metrics;
GRANT SELECT (lost_rows, lost_files, confirmed_at) ON backup_brake TO callstash_metrics;
GRANT SELECT (id, state, error, finished_at, statistics) ON backup_run TO callstash_metrics;
GRANT SELECT (id, error, finished_at) ON restore_drill TO callstash_metrics;
GRANT SELECT (serial, pbxs, support_until) ON licence TO callstash_metrics;
