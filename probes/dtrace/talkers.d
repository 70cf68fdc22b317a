#!/usr/sbin/dtrace -s
/*
 * talkers: who is talking?
 *
 * USAGE
 *   overlay-trace --tracer dtrace talkers [interval [count]] [--vni N] [--mac MAC]
 *   dtrace -Z -p PID -s talkers.d [interval [count [vni [mac]]]]
 *
 * DESCRIPTION
 *   Asks in D what talkers.bt asks; its header explains the answer.
 *
 * OVERHEAD
 *   Two firings for a frame that is sent, one for a frame that is received,
 *   about a microsecond each: at 100,000 frames a second some tenths of a
 *   core. Count batches (batches.bt) where that is too much.
 *
 * CAVEATS
 *   Watch overlayd: the provider's name carries the process id of -p.
 */

#pragma D option quiet
#pragma D option defaultargs
#pragma D option strsize=256

dtrace:::BEGIN
{
	printf("Tracing frames between VNICs and the underlay... Ctrl-C ends.\n");
	seconds = 0;
	due = 0;
}

overlay$target:::tx-frame
/($3 == 0 || arg1 == $3) && ($$4 == "" || copyinstr(arg4) == $$4 || copyinstr(arg5) == $$4)/
{
	@frames_sent[arg1] = count();
	@bytes_sent[arg1] = sum(arg3);
	@bytes_sent_by_pair[arg1, copyinstr(arg4), copyinstr(arg5)] = sum(arg3);
}

overlay$target:::tx-send
/($3 == 0 || arg1 == $3) && $$4 == ""/
{
	@frames_sent_to[arg1, copyinstr(arg5)] = count();
}

overlay$target:::decap
/($3 == 0 || arg1 == $3) && ($$4 == "" || copyinstr(arg3) == $$4 || copyinstr(arg4) == $$4)/
{
	@frames_received[arg1] = count();
	@bytes_received[arg1] = sum(arg2);
	@bytes_received_by_pair[arg1, copyinstr(arg3), copyinstr(arg4)] = sum(arg2);
	@frames_received_from[arg1, copyinstr(arg5)] = count();
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
	printa("frames_sent %u: %@u\n", @frames_sent);
	printa("bytes_sent %u: %@u\n", @bytes_sent);
	printa("bytes_sent_by_pair %u %s > %s: %@u\n", @bytes_sent_by_pair);
	printa("frames_sent_to %u %s: %@u\n", @frames_sent_to);
	printa("frames_received %u: %@u\n", @frames_received);
	printa("bytes_received %u: %@u\n", @bytes_received);
	printa("bytes_received_by_pair %u %s > %s: %@u\n", @bytes_received_by_pair);
	printa("frames_received_from %u %s: %@u\n", @frames_received_from);
}

profile:::tick-1s
/$1 > 0 && $2 > 0 && seconds >= $1 * $2/
{
	exit(0);
}

dtrace:::END
{
	printf("\n");
	printa("frames_sent %u: %@u\n", @frames_sent);
	printa("bytes_sent %u: %@u\n", @bytes_sent);
	printa("bytes_sent_by_pair %u %s > %s: %@u\n", @bytes_sent_by_pair);
	printa("frames_sent_to %u %s: %@u\n", @frames_sent_to);
	printa("frames_received %u: %@u\n", @frames_received);
	printa("bytes_received %u: %@u\n", @bytes_received);
	printa("bytes_received_by_pair %u %s > %s: %@u\n", @bytes_received_by_pair);
	printa("frames_received_from %u %s: %@u\n", @frames_received_from);
}
