-- One number that moves, in the same transaction, with each change by which a session, a token, an account or a guest may
-- do less than before. A worker that holds connections compares it, instead of asking about all that it holds.
CREATE TABLE access_revision (
    id       INTEGER PRIMARY KEY,
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO access_revision (id, revision) VALUES (1, 0);

-- Triggers, so that no statement is left out, nor one of a worker of an older version that still runs.
CREATE TRIGGER session_ended AFTER DELETE ON session BEGIN
    INSERT INTO access_revision (id, revision) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET revision = revision + 1;
END;
CREATE TRIGGER session_changed AFTER UPDATE OF hash, account_id, ends_at ON session BEGIN
    INSERT INTO access_revision (id, revision) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET revision = revision + 1;
END;
CREATE TRIGGER token_ended AFTER DELETE ON token BEGIN
    INSERT INTO access_revision (id, revision) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET revision = revision + 1;
END;
CREATE TRIGGER token_changed AFTER UPDATE OF hash, account_id, ends_at ON token BEGIN
    INSERT INTO access_revision (id, revision) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET revision = revision + 1;
END;
CREATE TRIGGER account_ended AFTER DELETE ON account BEGIN
    INSERT INTO access_revision (id, revision) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET revision = revision + 1;
END;
CREATE TRIGGER account_changed AFTER UPDATE OF name, role, state, until ON account BEGIN
    INSERT INTO access_revision (id, revision) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET revision = revision + 1;
END;
-- Members of closed rooms leave by an event of the log, and all but guests read open rooms without being members.
CREATE TRIGGER guest_left AFTER DELETE ON member
    WHEN (SELECT role FROM account WHERE id = OLD.account_id) = 'guest' BEGIN
    INSERT INTO access_revision (id, revision) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET revision = revision + 1;
END;
