"""Who asks, and what they may: certificates, tokens, one small table, the reviews. Knows no verb."""
