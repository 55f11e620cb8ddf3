"""Authentication and authorization: certificates, tokens, one small rule table, reviews. Knows no verbs."""
