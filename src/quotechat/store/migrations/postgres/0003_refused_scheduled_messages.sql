-- A scheduled message that is refused when it is due goes back to its sender: state 'refused', and the code.
ALTER TABLE scheduled DROP CONSTRAINT scheduled_state_check;
ALTER TABLE scheduled ADD CONSTRAINT scheduled_state_check
    CHECK (state IN ('waiting', 'sent', 'cancelled', 'refused'));
ALTER TABLE scheduled ADD COLUMN code text;
-- Keyed hash of the address that it came from, while it waits.
ALTER TABLE scheduled ADD COLUMN source text;
DROP INDEX scheduled_own;
CREATE INDEX scheduled_own ON scheduled (identity, room_id) WHERE state IN ('waiting', 'refused');
CREATE INDEX scheduled_source ON scheduled (source) WHERE source IS NOT NULL;

CREATE INDEX name_own ON name (room_id, identity);
