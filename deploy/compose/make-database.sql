-- The database of Licet and its owner, who is no superuser. The image runs it once, when its volume is empty.
\set password `cat /run/secrets/database-password`
CREATE ROLE licet LOGIN PASSWORD :'password';
CREATE DATABASE licet OWNER licet ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE licet FROM PUBLIC;
