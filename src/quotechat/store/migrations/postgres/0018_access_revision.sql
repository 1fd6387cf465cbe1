-- See ../sqlite/0018_access_revision.sql.
CREATE TABLE access_revision (
    id       bigint PRIMARY KEY,
    revision bigint NOT NULL
);
INSERT INTO access_revision (id, revision) VALUES (1, 0);

-- Run by the commit, once for each transaction: the lock on the one row is the last that a transaction takes, so no two
-- wait for each other, and is held while the commit reaches the disk, no longer.
CREATE FUNCTION move_access_revision() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    role text;
BEGIN
    IF coalesce(current_setting('quotechat.access_moved', true), '') = 'yes' THEN
        RETURN NULL;
    END IF;
    IF TG_TABLE_NAME = 'member' THEN
        EXECUTE format('SELECT role FROM %I.account WHERE id = $1', TG_TABLE_SCHEMA) INTO role USING OLD.account_id;
        IF role IS DISTINCT FROM 'guest' THEN
            RETURN NULL;
        END IF;
    END IF;
    PERFORM set_config('quotechat.access_moved', 'yes', true);
    EXECUTE format(
        'INSERT INTO %I.access_revision AS a (id, revision) VALUES (1, 1)'
        ' ON CONFLICT (id) DO UPDATE SET revision = a.revision + 1', TG_TABLE_SCHEMA);
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER session_ended AFTER DELETE OR UPDATE OF hash, account_id, ends_at ON session
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION move_access_revision();
CREATE CONSTRAINT TRIGGER token_ended AFTER DELETE OR UPDATE OF hash, account_id, ends_at ON token
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION move_access_revision();
CREATE CONSTRAINT TRIGGER account_changed AFTER DELETE OR UPDATE OF name, role, state, until ON account
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION move_access_revision();
CREATE CONSTRAINT TRIGGER guest_left AFTER DELETE ON member
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION move_access_revision();
