-- Batches at platforms: many lines (calls of steps) of one organisation, for one endpoint and model, that
-- a platform takes as one file and answers within hours, for less money. Each row is the record of what
-- was sent to the platform for its batch (see app/batches).
--
-- state:
--   gathered: its lines are assigned, and nothing was sent, or what was sent was refused.
--   uploading: the file was sent, or may have been.   uploaded: the platform has the file, file_id.
--   creating: the batch was asked for, or may have been.  running: the platform has it, external_id.
--   reading: it has ended there as `ending`, and the lines of its files, result_files, are recorded.
--   clearing: every line has ended, and the files are still at the platform.   ended
-- sent_at: since when the upload or the creation that is open may have taken effect.
-- look_at: when it is looked at next. fence, held_until: the process that moves it on, and until when.
-- created_at, look_at and ended_at are times of playalter_now(). failures: how often in a row it could not
-- be moved on, because of `error`. done: the lines that the platform says it has done.
CREATE TABLE batches (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  organisation_id uuid NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
  platform text NOT NULL,
  endpoint text NOT NULL,
  model text NOT NULL,
  lines integer NOT NULL,
  bytes bigint NOT NULL,
  created_at timestamptz DEFAULT playalter_now() NOT NULL,
  state text DEFAULT 'gathered' NOT NULL,
  file_id text,
  external_id text,
  result_files text[],
  ending text,
  done integer DEFAULT 0 NOT NULL,
  sent_at timestamptz,
  look_at timestamptz DEFAULT playalter_now() NOT NULL,
  fence uuid,
  held_until timestamptz,
  failures integer DEFAULT 0 NOT NULL,
  error text,
  ended_at timestamptz,
  CONSTRAINT batches_state CHECK (state IN (
    'gathered', 'uploading', 'uploaded', 'creating', 'running', 'reading', 'clearing', 'ended'))
);

CREATE INDEX batches_due ON batches (look_at) WHERE ended_at IS NULL;
CREATE INDEX batches_by_external_id ON batches (external_id) WHERE external_id IS NOT NULL;
CREATE INDEX batches_ended ON batches (ended_at) WHERE ended_at IS NOT NULL;
