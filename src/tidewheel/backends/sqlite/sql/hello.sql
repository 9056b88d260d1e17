-- A worker begins. id, info
INSERT INTO worker (id, info) VALUES (?, ?)
