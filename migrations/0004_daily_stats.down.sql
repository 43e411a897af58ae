drop table daily_stats;
