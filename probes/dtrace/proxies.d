#!/usr/sbin/dtrace -s
/*
 * proxies: what do the ARP, NDP and DHCP proxies say?
 *
 * USAGE
 *   overlay-trace --tracer dtrace proxies [interval [count]] [--vni N]
 *   dtrace -Z -p PID -s proxies.d [interval [count [vni]]]
 *
 * DESCRIPTION
 *   Asks in D what proxies.bt asks; its header explains the answer.
 *
 * OVERHEAD
 *   One firing of about a microsecond for each request.
 *
 * CAVEATS
 *   Watch varpd: the provider's name carries the process id of -p.
 */

#pragma D option quiet
#pragma D option defaultargs
#pragma D option strsize=256

dtrace:::BEGIN
{
	printf("Tracing proxies... Ctrl-C ends.\n");
	seconds = 0;
	due = 0;
}

varpd$target:::proxy-arp
/($3 == 0 || arg1 == $3)/
{
	@verdicts[arg1, "arp", arg2 == 0 ? "unknown" : "known"] = count();
}

varpd$target:::proxy-arp
/($3 == 0 || arg1 == $3) && arg2 == 0/
{
	@unknown_arp[arg1, copyinstr(arg3)] = count();
}

varpd$target:::proxy-ndp
/($3 == 0 || arg1 == $3)/
{
	@verdicts[arg1, "ndp", arg2 == 0 ? "unknown" : "known"] = count();
}

varpd$target:::proxy-ndp
/($3 == 0 || arg1 == $3) && arg2 == 0/
{
	@unknown_ndp[arg1, copyinstr(arg3)] = count();
}

varpd$target:::proxy-dhcp
/($3 == 0 || arg1 == $3)/
{
	@verdicts[arg1, "dhcp", arg2 == 0 ? "unknown" : "known"] = count();
}

varpd$target:::proxy-dhcp
/($3 == 0 || arg1 == $3) && arg2 == 0/
{
	@unknown_dhcp[arg1, copyinstr(arg3)] = count();
}

varpd$target:::proxy-refused
/($3 == 0 || arg1 == $3)/
{
	@refused[arg1, copyinstr(arg2), copyinstr(arg3)] = count();
}

profile:::tick-1s
/$1 > 0/
{
	seconds++;
	due++;
}

profile:::tick-1s
/$1 > 0 && due == $1/
{
	due = 0;
	printf("\n%u s\n", seconds);
	printa("verdicts %u %s %s: %@u\n", @verdicts);
	printa("unknown_arp %u %s: %@u\n", @unknown_arp);
	printa("unknown_ndp %u %s: %@u\n", @unknown_ndp);
	printa("unknown_dhcp %u %s: %@u\n", @unknown_dhcp);
	printa("refused %u %s %s: %@u\n", @refused);
}

profile:::tick-1s
/$1 > 0 && $2 > 0 && seconds >= $1 * $2/
{
	exit(0);
}

dtrace:::END
{
	printf("\n");
	printa("verdicts %u %s %s: %@u\n", @verdicts);
	printa("unknown_arp %u %s: %@u\n", @unknown_arp);
	printa("unknown_ndp %u %s: %@u\n", @unknown_ndp);
	printa("unknown_dhcp %u %s: %@u\n", @unknown_dhcp);
	printa("refused %u %s %s: %@u\n", @refused);
}
