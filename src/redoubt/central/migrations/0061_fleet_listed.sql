-- What lists of images show, counted as the image itself counts them: a flaw in several packages once. Kept by the
-- background work; null until it was there.
ALTER TABLE fleet_images
    ADD COLUMN flaws integer,
    ADD COLUMN fixable_flaws integer,
    ADD COLUMN top_cvss real;
-- The highest of the finding's scores, whoever gave it.
ALTER TABLE fleet_details ADD COLUMN top_cvss real;
