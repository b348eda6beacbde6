-- How many texts left at each of the times in `recent`. One time for each text made a row of
-- thousands where the limit is high, rewritten at each claim. An earlier version writes `recent`
-- only, with one text a time; the two arrays differ in length then, and each time counts once.
alter table send_limit add column counts integer[];
