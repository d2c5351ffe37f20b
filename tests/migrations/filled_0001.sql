INSERT INTO checkpoints (role, version, status, kind, model, path, parent, created_at)
VALUES ('actor', 0, 'promoted', 'base', 'some/model', NULL, NULL, '2026-03-01 12:00:00.000000'),
       ('refiner', 0, 'promoted', 'base', 'some/model', NULL, NULL, '2026-03-01 12:00:00.000000');
INSERT INTO searches (id, created_at, mode, messages, prompt, constraints, options, response,
    accepted, value, critique, results, best_node, stop_reason, actor_version, refiner_version,
    prompt_tokens, completion_tokens, responses, refinements, judgments, votes, nodes, timing_ms)
VALUES ('01JZ0000000000000000000001', '2026-03-01 12:30:00.000000', 'bfs',
    '[{"role": "user", "content": "Name a color."}]', 'Name a color.',
    '[{"id": "regex", "kwargs": {"pattern": "B"}}]',
    '{"search": {"n": 5, "branch": 3, "beam": 2, "depth": 3, "votes": 2, "gate": 0.5, "early_stop": true}, "budget": {"max_nodes": 64, "max_tokens": null, "deadline_ms": null}, "sampling": {"temperature": 0.9, "top_p": 0.9, "max_tokens": 512, "seed": null, "stop": []}}',
    'Blue.', true, 1.0, 'Good.',
    '[{"id": "regex", "kwargs": {"pattern": "B"}, "satisfied": true, "message": "found"}]',
    2, 'accepted', 0, 0, 90, 40, 1, 1, 1, 2, 2, 812.5);
INSERT INTO nodes (search_id, node_id, parent, depth, kind, text, value, accepted, critique,
    constraints, partial, completion_tokens, created_ms)
VALUES ('01JZ0000000000000000000001', 0, NULL, 0, 'prompt', '', NULL, NULL, NULL, '[]', false, 0, 0.0),
       ('01JZ0000000000000000000001', 1, 0, 1, 'response', 'A dog.', NULL, NULL, NULL, '[]', false, 3, 200.5),
       ('01JZ0000000000000000000001', 2, 1, 2, 'refinement', 'Blue.', 1.0, true, 'Good.',
        '[{"id": "regex", "kwargs": {"pattern": "B"}, "satisfied": true, "message": "found"}]', false, 2, 600.25);
INSERT INTO votes (search_id, node_id, position, verdict, probability, critique)
VALUES ('01JZ0000000000000000000001', 2, 0, true, 0.75, 'Good.'),
       ('01JZ0000000000000000000001', 2, 1, true, 0.5, 'Fine.')
