-- The day on which the log last said that a model which is used ends soon, or has ended.
CREATE TABLE model_warnings (
  platform text NOT NULL,
  model text NOT NULL,
  told_on date NOT NULL,
  PRIMARY KEY (platform, model)
);
