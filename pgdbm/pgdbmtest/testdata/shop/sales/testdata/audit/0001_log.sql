create table {{tables.log}} (entry text not null);
