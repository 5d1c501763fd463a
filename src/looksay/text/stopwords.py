"""English function words."""

# Articles, prepositions and conjunctions that need a word after them. ("outside" and "up" also end captions, as
# adverbs; 1.3 % of Flickr8k's human captions end in one of these, as in "he puts his helmet on".)
DANGLING = frozenset(
    "a an the of in on at by with from to into onto over under through across near behind beside between against along "
    "among around before after during for above below beneath towards toward upon within without off "
    "and or but nor as while that which who because if than".split()
)

FUNCTION_WORDS = DANGLING | frozenset(
    "is are be being has have it its he she his her him they their them there this other another each some one two "
    "three 's".split()
)
"""Words that an English caption may repeat."""
