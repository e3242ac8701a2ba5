-- Categories of policies that people made, or gave another name. Others are those that policies have, and those that come with Central.
CREATE TABLE policy_categories (
    id   uuid PRIMARY KEY,
    name text NOT NULL
);
CREATE UNIQUE INDEX policy_categories_name ON policy_categories (lower(name));
