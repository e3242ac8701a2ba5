-- What is in all images, what definitions say of it, and what becomes of that when definitions change.
-- There are few foreign keys: a check a row is most of the cost of millions, and rows go only by a sweep that nobody
-- else works beside (an advisory lock).
-- Severities are ranks: 5 critical, 4 high, 3 medium, 2 low, 1 negligible, 0 unknown.

-- Which definitions verdicts are asked of from now on; and MessagePack of a DefinitionsInfo:
CREATE TABLE fleet_state (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    definitions text    NOT NULL DEFAULT '',
    -- of those that all verdicts are of, once a run has ended
    info        bytea,
    run         integer NOT NULL DEFAULT 0
);
INSERT INTO fleet_state DEFAULT VALUES;

-- A run asks new definitions about everything that is in the fleet.
CREATE TABLE fleet_runs (
    run         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    definitions text        NOT NULL,
    began       timestamptz NOT NULL DEFAULT now(),
    ended       timestamptz,
    questions   integer     NOT NULL DEFAULT 0,
    packages    integer     NOT NULL DEFAULT 0
);

CREATE TABLE fleet_images (
    image       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest      text        NOT NULL UNIQUE,
    name        text        NOT NULL,
    release     text        NOT NULL DEFAULT '',
    added       timestamptz NOT NULL DEFAULT now(),
    packages    integer     NOT NULL,
    -- zstd of the MessagePack of an IndexReport
    report      bytea       NOT NULL,
    -- findings that count, kept by the background work
    critical    integer     NOT NULL DEFAULT 0,
    high        integer     NOT NULL DEFAULT 0,
    medium      integer     NOT NULL DEFAULT 0,
    low         integer     NOT NULL DEFAULT 0,
    negligible  integer     NOT NULL DEFAULT 0,
    unknown     integer     NOT NULL DEFAULT 0,
    fixable     integer     NOT NULL DEFAULT 0,
    -- whether who owns which package has been found out with the verdicts on all of them
    settled     boolean     NOT NULL DEFAULT false,
    -- whether it is among the images of fleet_flaws
    counted     boolean     NOT NULL DEFAULT false
);
ALTER TABLE fleet_images ALTER COLUMN report SET STORAGE EXTERNAL;
CREATE INDEX fleet_images_worst ON fleet_images (critical DESC, high DESC, medium DESC, low DESC, image DESC);
CREATE INDEX fleet_images_unsettled ON fleet_images (image) WHERE NOT settled;
CREATE INDEX fleet_images_uncounted ON fleet_images (image) WHERE NOT counted;

-- From when the release of a system is no longer looked after; null until definitions were asked.
CREATE TABLE fleet_releases (
    release     text PRIMARY KEY,
    end_of_life text
);

-- What decides which records are read: many packages share one. The mark is a digest of these records.
CREATE TABLE fleet_questions (
    question    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key         bytea   NOT NULL UNIQUE,
    -- MessagePack of a Subject
    body        bytea   NOT NULL,
    mark        bytea
);

-- Distinct packages, with all that decides a match. Places, owners and days belong to an image's package.
CREATE TABLE fleet_packages (
    package     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key         bytea   NOT NULL UNIQUE,
    question    integer NOT NULL,
    type        text    NOT NULL,
    name        text    NOT NULL,
    version     text    NOT NULL,
    -- MessagePack of a Subject
    body        bytea   NOT NULL,
    -- MessagePack of a Verdict without its findings; null until there is one
    verdict     bytea,
    critical    integer NOT NULL DEFAULT 0,
    high        integer NOT NULL DEFAULT 0,
    medium      integer NOT NULL DEFAULT 0,
    low         integer NOT NULL DEFAULT 0,
    negligible  integer NOT NULL DEFAULT 0,
    unknown     integer NOT NULL DEFAULT 0,
    fixable     integer NOT NULL DEFAULT 0
);
CREATE INDEX fleet_packages_question ON fleet_packages (question);

CREATE TABLE fleet_image_packages (
    image       integer NOT NULL REFERENCES fleet_images ON DELETE CASCADE,
    package     integer NOT NULL,
    -- its findings don't count here: the distribution judges the package that brought it
    owned       boolean NOT NULL DEFAULT false,
    first_seen  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (image, package)
);
CREATE INDEX fleet_image_packages_package ON fleet_image_packages (package, image) WHERE NOT owned;

-- Flaws by name, with what is shown of them in a list. EPSS stands here, and not in findings.
CREATE TABLE fleet_flaws (
    flaw        integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text     NOT NULL UNIQUE,
    severity    smallint NOT NULL DEFAULT 0,
    exploited   boolean  NOT NULL DEFAULT false,
    probability double precision NOT NULL DEFAULT 0,
    percentile  double precision NOT NULL DEFAULT 0,
    -- the score's day; null where there is no score
    scored      text,
    fixable     boolean  NOT NULL DEFAULT false,
    packages    integer  NOT NULL DEFAULT 0,
    images      integer  NOT NULL DEFAULT 0,
    first_seen  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX fleet_flaws_worst ON fleet_flaws (severity DESC, exploited DESC, probability DESC, flaw DESC) WHERE images > 0;

-- What findings say, each text once: a flaw says the same of all that is built from one source.
CREATE TABLE fleet_details (
    detail      integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key         bytea   NOT NULL UNIQUE,
    -- MessagePack of a Finding without EPSS
    body        bytea   NOT NULL
);

CREATE TABLE fleet_findings (
    package     integer  NOT NULL,
    flaw        integer  NOT NULL,
    detail      integer  NOT NULL,
    severity    smallint NOT NULL,
    fixable     boolean  NOT NULL,
    exploited   boolean  NOT NULL,
    -- false where it counts in no image (the kernel's, in a package that is none)
    counts      boolean  NOT NULL,
    first_seen  timestamptz NOT NULL DEFAULT now(),
    -- 0, but where several findings of a package have one name
    ordinal     smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (package, flaw, ordinal)
);
CREATE INDEX fleet_findings_flaw ON fleet_findings (flaw, package) WHERE counts;
CREATE INDEX fleet_findings_detail ON fleet_findings (detail);
CREATE INDEX fleet_findings_worst ON fleet_findings (package, severity DESC) WHERE counts;

-- Packages to be judged, some at a time. A row is locked by who works on it and goes with the work.
CREATE TABLE fleet_work (
    work        bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    packages    integer[] NOT NULL
);

-- What a run found otherwise than before: 'new', 'gone', 'worse', 'better'.
CREATE TABLE fleet_changes (
    run         integer  NOT NULL,
    package     integer  NOT NULL,
    flaw        integer  NOT NULL,
    change      text     NOT NULL,
    was         smallint NOT NULL,
    is_now      smallint NOT NULL
);
CREATE INDEX fleet_changes_package ON fleet_changes (package, run);
CREATE INDEX fleet_changes_run ON fleet_changes (run);

-- The same, counted by image; kept by the background work.
CREATE TABLE fleet_image_changes (
    run         integer NOT NULL,
    image       integer NOT NULL REFERENCES fleet_images ON DELETE CASCADE,
    appeared    integer NOT NULL,
    gone        integer NOT NULL,
    worse       integer NOT NULL,
    better      integer NOT NULL,
    PRIMARY KEY (run, image)
);

-- What has to be counted again. Only added to and swept, so that nobody waits for anybody.
CREATE TABLE fleet_due (
    kind        text    NOT NULL,
    subject     integer NOT NULL
);

-- By how much the counts of packages changed, and those of the images that have them not yet.
CREATE TABLE fleet_due_counts (
    package     integer NOT NULL,
    critical    integer NOT NULL,
    high        integer NOT NULL,
    medium      integer NOT NULL,
    low         integer NOT NULL,
    negligible  integer NOT NULL,
    unknown     integer NOT NULL,
    fixable     integer NOT NULL
);
