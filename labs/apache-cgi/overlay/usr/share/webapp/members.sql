-- The databases of the site as they are at first: the members (read only to the pages).
CREATE TABLE members (name TEXT, company TEXT, mail TEXT, public INTEGER);
INSERT INTO members VALUES ('Aoki', 'Kita Systems', 'aoki@kita.example', 1);
INSERT INTO members VALUES ('Baba', 'Minami Data', 'baba@minami.example', 1);
INSERT INTO members VALUES ('Chiba', 'Kita Systems', 'chiba@kita.example', 1);
INSERT INTO members VALUES ('Doi', 'Higashi Networks', 'doi-private@higashi.example', 0);
