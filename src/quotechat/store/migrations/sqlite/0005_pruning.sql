-- What is forgotten in parts is found without a look at all of it (store/maintenance/pruning.py).
CREATE INDEX name_at ON name (at);
CREATE INDEX sent_scheduled ON sent (scheduled) WHERE scheduled IS NOT NULL;

-- A message that was cancelled keeps no text.
UPDATE scheduled SET message = '{}' WHERE state = 'cancelled';
