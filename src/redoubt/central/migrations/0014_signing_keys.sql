-- Keys that sign tokens are replaced: the former one's private half goes, its public half stays as long as its tokens.
ALTER TABLE signing_keys ALTER COLUMN sealed DROP NOT NULL;
ALTER TABLE api_tokens ADD COLUMN key text NOT NULL DEFAULT '';
UPDATE api_tokens SET key = coalesce((SELECT id FROM signing_keys ORDER BY created_at DESC, id LIMIT 1), '');
ALTER TABLE api_tokens ALTER COLUMN key DROP DEFAULT;
