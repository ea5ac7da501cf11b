-- Remote support: its service writes to the audit log when a tunnel opens and when it ends by itself.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'callstash_support') THEN
        CREATE ROLE callstash_support LOGIN;
    END IF;
END $$;

GRANT INSERT (actor, action, subject, detail, address) ON audit TO callstash_support;
