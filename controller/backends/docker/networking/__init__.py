"""Manages MACVLAN networks and their endpoints, DHCP leases, dedicated interfaces and addresses in use."""
