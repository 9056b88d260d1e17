-- One entry into a job's history. id, at, event, worker, detail
INSERT INTO history (id, at, event, worker, detail) VALUES (?, ?, ?, ?, ?)
