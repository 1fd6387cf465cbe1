-- See ../sqlite/0020_numbers_of_subscribers.sql; here a sequence gives the numbers, each once.
DELETE FROM subscribed WHERE subscriber_id NOT IN (SELECT id FROM subscriber);
DELETE FROM delivery WHERE subscriber_id NOT IN (SELECT id FROM subscriber);
