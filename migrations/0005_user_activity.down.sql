drop materialized view if exists user_activity cascade;
