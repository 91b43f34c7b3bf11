-- The record store as first released. Instants are microseconds since 1970, UTC.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE sequences (
    name TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO sequences VALUES ('change', 0), ('ordinal', 0);

-- Configuration (semantics 1.1) ---------------------------------------------------------------

CREATE TABLE facilities (
    name       TEXT PRIMARY KEY,
    position   INTEGER NOT NULL,
    configured INTEGER NOT NULL,
    body       TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE sources (
    id             INTEGER PRIMARY KEY,
    name           TEXT NOT NULL UNIQUE,
    facility       TEXT NOT NULL,
    trust          INTEGER NOT NULL,
    position       INTEGER NOT NULL,
    configured     INTEGER NOT NULL,
    body           TEXT NOT NULL,
    memory         TEXT NOT NULL DEFAULT '{}',
    checkpoint     TEXT,
    checkpoint_run INTEGER,
    live           INTEGER NOT NULL DEFAULT 0,
    quarantined    INTEGER NOT NULL DEFAULT 0
);

-- Runs and leases ------------------------------------------------------------------------------

CREATE TABLE leases (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    run        INTEGER,
    fence      INTEGER NOT NULL,
    renewed_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE runs (
    number         INTEGER PRIMARY KEY AUTOINCREMENT,
    source         INTEGER NOT NULL REFERENCES sources (id),
    kind           TEXT NOT NULL,
    holder         TEXT NOT NULL,
    fence          INTEGER NOT NULL,
    state          TEXT NOT NULL,
    started_at     INTEGER NOT NULL,
    ended_at       INTEGER,
    heartbeat_at   INTEGER,
    stop           TEXT,
    stop_requested INTEGER NOT NULL DEFAULT 0,
    received       INTEGER NOT NULL DEFAULT 0,
    new            INTEGER NOT NULL DEFAULT 0,
    changed        INTEGER NOT NULL DEFAULT 0,
    unchanged      INTEGER NOT NULL DEFAULT 0,
    deleted        INTEGER NOT NULL DEFAULT 0,
    quarantined    INTEGER NOT NULL DEFAULT 0,
    forgotten      INTEGER NOT NULL DEFAULT 0,
    entities       INTEGER NOT NULL DEFAULT 0,
    problems       TEXT NOT NULL DEFAULT '{}',
    details        TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX runs_source ON runs (source, number);

-- Raw records ------------------------------------------------------------------------------------

-- What made the normalised form: crosswalk, PaNET, unit table, and the context told to them.
CREATE TABLE versions (
    id   INTEGER PRIMARY KEY,
    body TEXT NOT NULL UNIQUE
);
INSERT INTO versions VALUES (0, '{}');

-- state: 1 live, 2 deleted, 3 left its set.
CREATE TABLE records (
    id           INTEGER PRIMARY KEY,
    source       INTEGER NOT NULL REFERENCES sources (id),
    identifier   TEXT NOT NULL,
    format       TEXT NOT NULL,
    datestamp    TEXT,
    sets         TEXT,
    state        INTEGER NOT NULL,
    quarantined  INTEGER NOT NULL,
    payload_hash BLOB,
    versions     INTEGER NOT NULL REFERENCES versions (id),
    harvested_at INTEGER NOT NULL,
    last_run     INTEGER NOT NULL,
    UNIQUE (source, identifier)
);

CREATE TABLE payloads (
    record     INTEGER PRIMARY KEY REFERENCES records (id),
    dictionary INTEGER NOT NULL,
    body       BLOB NOT NULL
);

CREATE TABLE dictionaries (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    source     INTEGER NOT NULL REFERENCES sources (id),
    format     TEXT NOT NULL,
    samples    INTEGER NOT NULL,
    trained_at INTEGER NOT NULL,
    body       BLOB NOT NULL
);

-- Superseded and deleted versions: for the operator only (semantics 11.1).
CREATE TABLE history (
    id            INTEGER PRIMARY KEY,
    record        INTEGER NOT NULL REFERENCES records (id),
    datestamp     TEXT,
    harvested_at  INTEGER NOT NULL,
    superseded_at INTEGER NOT NULL,
    run           INTEGER NOT NULL,
    dictionary    INTEGER NOT NULL,
    body          BLOB NOT NULL
);
CREATE INDEX history_record ON history (record, id);

CREATE TABLE quarantine (
    record INTEGER PRIMARY KEY REFERENCES records (id),
    reason TEXT NOT NULL,
    path   TEXT NOT NULL,
    run    INTEGER NOT NULL,
    since  INTEGER NOT NULL
);

-- Entities (semantics 1.2) -----------------------------------------------------------------------

-- A row is made when a key is first named, and its ordinal stays with the key for ever.
-- class: 1 Document, 2 Dataset, 3 Instrument.
-- change is NULL while nothing but links name the key; hash while no source has it (semantics 1.4).
-- A derived Dataset that gave way is not live but keeps its hash (semantics 1.3). body is the merged
-- JSON; NULL for an entity with one distinct part, which then is named by part.
CREATE TABLE entities (
    ordinal    INTEGER PRIMARY KEY,
    key        TEXT NOT NULL UNIQUE,
    class      INTEGER NOT NULL,
    change     INTEGER UNIQUE,
    live       INTEGER NOT NULL,
    derived    INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    hash       BLOB,
    part       INTEGER,
    body       BLOB
);

-- What one source record says of one entity. id is the record's number * 2^20 + a position, so that
-- the parts of a record lie together and need no index of their own. said_at is when the record
-- began to say so.
CREATE TABLE parts (
    id      INTEGER PRIMARY KEY,
    entity  INTEGER NOT NULL REFERENCES entities (ordinal),
    source  INTEGER NOT NULL REFERENCES sources (id),
    hash    INTEGER NOT NULL,
    said_at INTEGER NOT NULL,
    body    BLOB NOT NULL
);
CREATE INDEX parts_entity ON parts (entity, source, hash);

-- relation: 1 Document datasets Dataset, 2 Dataset instrument Instrument. Asserted by a record.
CREATE TABLE links (
    parent   INTEGER NOT NULL REFERENCES entities (ordinal),
    relation INTEGER NOT NULL,
    child    INTEGER NOT NULL REFERENCES entities (ordinal),
    record   INTEGER NOT NULL,
    PRIMARY KEY (parent, relation, child, record)
) WITHOUT ROWID;
CREATE INDEX links_child ON links (child, relation, parent);

-- Identifiers of an entity other than the one its key is made of.
CREATE TABLE aliases (
    alias  TEXT NOT NULL,
    entity INTEGER NOT NULL REFERENCES entities (ordinal),
    PRIMARY KEY (alias, entity)
) WITHOUT ROWID;
CREATE INDEX aliases_entity ON aliases (entity);

-- How many entities are live, kept in step so that a count costs nothing.
CREATE TABLE counters (
    class   INTEGER NOT NULL,
    derived INTEGER NOT NULL,
    live    INTEGER NOT NULL,
    PRIMARY KEY (class, derived)
) WITHOUT ROWID;
INSERT INTO counters VALUES (1, 0, 0), (1, 1, 0), (2, 0, 0), (2, 1, 0), (3, 0, 0), (3, 1, 0);

CREATE TABLE engines (
    name     TEXT PRIMARY KEY,
    position INTEGER NOT NULL
) WITHOUT ROWID;

-- Erasure (semantics 11.1) and backups -----------------------------------------------------------

-- kind: record (source and identifier), entity (key) or person. digest is salted. hint of a person
-- is a salted CRC of one word of the name, to look for in a text before anything dearer.
CREATE TABLE blocked (
    kind         TEXT NOT NULL,
    digest       BLOB NOT NULL,
    hint         INTEGER,
    forgotten_at INTEGER NOT NULL,
    PRIMARY KEY (kind, digest)
) WITHOUT ROWID;

-- Copies that were made: what was forgotten later may still be in them. kind: backup or export.
CREATE TABLE copies (
    path    TEXT PRIMARY KEY,
    kind    TEXT NOT NULL,
    made_at INTEGER NOT NULL
) WITHOUT ROWID;
