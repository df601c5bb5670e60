DROP CAST (mood AS bigint);
DROP OPERATOR === (mood, mood);
DROP FUNCTION same_mood, "Odd; name$", add, atomic, one, touch;
DROP AGGREGATE sum_of_squares(int);
DROP PROCEDURE in_pieces, atomic_insert;
